# In place of puppet-tripleo's class: what clients of the database read.
class tripleo::profile::base::database::mysql::client (
  String $mysql_client_bind_address,
) {
  file { '/etc/my.cnf.d':
    ensure => directory,
  }
  file { '/etc/my.cnf.d/tripleo.cnf':
    content => "[tripleo]\nbind-address=${mysql_client_bind_address}\n",
  }
}
