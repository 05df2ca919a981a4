//! Templates: the tree, Kolla's dialect of Jinja2, overrides, and rendering.

pub mod catalog;
pub mod context;
mod environment;
pub mod error;
mod functions;
mod list;
pub mod lookups;
pub mod overrides;
mod prelex;
pub mod render;
pub mod repos;
pub mod tags;

pub use prelex::normalize_newlines;
