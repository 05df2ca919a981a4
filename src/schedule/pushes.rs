//! Which unit is pushed next: those that are up to date, in the order they came to be, each after its parent [pure].
//!
//! A parent's layers are in the registry once its push is over, and its children's pushes find them there. Pushed beside
//! it, each of them would upload these layers too.

use std::collections::VecDeque;

/// The units that are to be pushed.
#[derive(Debug)]
pub struct Pushes {
    parents: Vec<Vec<usize>>,
    /// Units whose push has ended, well or not.
    over: Vec<bool>,
    /// Units that wait for the pushes of others, in the order they came to be.
    waiting: Vec<usize>,
    ready: VecDeque<usize>,
}

impl Pushes {
    /// Of the units `0..parents.len()`, none of which is up to date yet.
    pub fn new(parents: Vec<Vec<usize>>) -> Pushes {
        let count = parents.len();
        Pushes { parents, over: vec![false; count], waiting: Vec::new(), ready: VecDeque::new() }
    }

    /// A unit is up to date, as its parents are.
    pub fn add(&mut self, unit: usize) {
        match self.may_go(unit) {
            true => self.ready.push_back(unit),
            false => self.waiting.push(unit),
        }
    }

    fn may_go(&self, unit: usize) -> bool {
        self.parents[unit].iter().all(|parent| self.over[*parent])
    }

    /// Takes the next unit; none when there is none, or all wait for their parents.
    pub fn take(&mut self) -> Option<usize> {
        self.ready.pop_front()
    }

    /// The push of a unit that was taken has ended. One that failed holds nobody up.
    pub fn end(&mut self, unit: usize) {
        self.over[unit] = true;
        let (ready, waiting) = self.waiting.iter().partition(|unit| self.may_go(**unit));
        self.waiting = waiting;
        self.ready.extend::<Vec<usize>>(ready);
    }

    /// True when a unit was added and not taken.
    pub fn has(&self, unit: usize) -> bool {
        self.ready.contains(&unit) || self.waiting.contains(&unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_pushed_after_its_parent_and_others_in_order() {
        let mut pushes = Pushes::new(vec![vec![], vec![0], vec![1], vec![]]);
        [0, 1, 2, 3].into_iter().for_each(|unit| pushes.add(unit));
        assert_eq!((pushes.take(), pushes.take(), pushes.take()), (Some(0), Some(3), None));
        assert_eq!([0, 1, 2, 3].map(|unit| pushes.has(unit)), [false, true, true, false]);
        pushes.end(3);
        assert_eq!(pushes.take(), None);
        pushes.end(0);
        assert_eq!((pushes.take(), pushes.take()), (Some(1), None));
        pushes.end(1);
        assert_eq!((pushes.take(), pushes.take()), (Some(2), None));
    }

    #[test]
    fn one_whose_parent_was_pushed_before_does_not_wait() {
        let mut pushes = Pushes::new(vec![vec![], vec![0]]);
        pushes.add(0);
        pushes.take();
        pushes.end(0);
        pushes.add(1);
        assert_eq!(pushes.take(), Some(1));
    }
}
