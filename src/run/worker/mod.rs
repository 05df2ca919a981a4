//! kolla-ansible's modules `kolla_container`, `kolla_container_facts` and `kolla_toolbox`.

pub mod actions;
pub mod arguments;
pub mod facts;
pub mod failed;
pub mod failures;
pub mod module;
pub mod params;
pub mod systemd;
pub mod toolbox;
pub mod unit;
pub mod wanted;
