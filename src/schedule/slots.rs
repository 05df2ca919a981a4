//! Numbers of the workers that are at work: each the smallest that is free [pure].

/// Which places are taken.
#[derive(Debug, Default)]
pub struct Places {
    taken: Vec<bool>,
}

impl Places {
    /// Takes the first free place.
    pub fn take(&mut self) -> usize {
        let place = self.taken.iter().position(|taken| !taken).unwrap_or_else(|| {
            self.taken.push(false);
            self.taken.len() - 1
        });
        self.taken[place] = true;
        place
    }

    /// The worker there is done.
    pub fn give_back(&mut self, place: usize) {
        self.taken[place] = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_was_given_back_is_taken_first() {
        let mut places = Places::default();
        assert_eq!([places.take(), places.take(), places.take()], [0, 1, 2]);
        places.give_back(1);
        assert_eq!([places.take(), places.take()], [1, 3]);
    }
}
