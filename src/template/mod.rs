//! Templates: the tree, Kolla's dialect of Jinja2, overrides, and rendering.

mod arguments;
mod bounded_filters;
pub mod catalog;
pub mod context;
mod dict;
mod environment;
pub mod error;
mod filters;
mod functions;
mod limits;
mod list;
mod literals;
pub mod lookups;
mod methods;
mod names;
mod order;
mod origin;
pub mod overrides;
mod prelex;
pub mod render;
pub mod repos;
mod rewrites;
mod shared;
mod syntax;
pub mod tags;

pub use tags::normalize_newlines;
