//! Two images beside each other, path by path [pure].

pub mod causes;
pub mod difference;
pub mod index;
pub mod inode;
pub mod package_files;
pub mod packages;
pub mod text;
