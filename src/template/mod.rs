//! Templates: the tree, Kolla's dialect of Jinja2, overrides, and rendering.

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
pub mod overrides;
mod prelex;
pub mod render;
pub mod repos;
mod rewrites;
mod syntax;
pub mod tags;

pub use prelex::normalize_newlines;
