//! Docker's engine API, through bollard.
