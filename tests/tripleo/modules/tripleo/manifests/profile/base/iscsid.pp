# In place of puppet-tripleo's class: how iscsid makes itself known.
class tripleo::profile::base::iscsid (
  String $chap_algs,
) {
  file_line { 'chap_algs':
    path  => '/etc/iscsi/iscsid.conf',
    line  => "node.session.auth.chap_algs = ${chap_algs}",
    match => '^#?node\.session\.auth\.chap_algs',
  }
}
