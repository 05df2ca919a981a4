# In place of puppet-tripleo's class, which Debian does not package: glance's own classes, which take what else they need
# from the hieradata of the template.
class tripleo::profile::base::glance::api (
  String $glance_backend_id,
  String $glance_store_description,
) {
  include glance
  include glance::api::logging
  include glance::api::authtoken
  class { 'glance::api':
    enabled_backends => ["${glance_backend_id}:${lookup('glance_backend')}"],
    default_backend  => $glance_backend_id,
  }
  glance::backend::multistore::file { $glance_backend_id:
    filesystem_store_datadir => '/var/lib/glance/images',
    store_description        => $glance_store_description,
  }
  # The template gives this number as a text.
  class { 'glance::cron::db_purge':
    maxdelay => Integer(lookup('glance::cron::db_purge::maxdelay')),
  }
}
