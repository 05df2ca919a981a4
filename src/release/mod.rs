//! What makes images a release that one can trust: documents about them, gates before pushes, signatures, and the release
//! manifest.

pub mod attaching;
pub mod check;
pub mod documents;
pub mod gates;
pub mod known;
pub mod notes;
pub mod provenance;
pub mod sboms;
pub mod signer;
pub mod work;
