//! Software bills of materials: what is in an image, found out by one look into a container of it, and told as SPDX and
//! CycloneDX.

pub mod cache;
pub mod changes;
mod collected;
pub mod cyclonedx;
pub mod inventory;
mod licence;
mod purl;
pub mod reader;
mod script;
pub mod spdx;
pub mod subject;
