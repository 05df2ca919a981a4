//! An image as what a machine boots: kernel and initramfs [pure].

pub mod cpio;
pub mod files;
pub mod manifest;
pub mod tree;
