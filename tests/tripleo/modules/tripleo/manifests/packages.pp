# In place of puppet-tripleo's class: an image has its packages, none is installed.
class tripleo::packages {
  Package <| |> {
    noop => true,
  }
}
