//! The ready queue: which unit is next. It knows nothing of threads, clocks or engines.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

/// Units that wait for their parents, and units that are ready, the one with the longest path below it first.
#[derive(Debug)]
pub struct Queue {
    children: Vec<Vec<usize>>,
    /// How many parents of each unit are not done yet.
    awaited: Vec<usize>,
    /// Cost of the most expensive path from the unit to a leaf, the unit included.
    path: Vec<u64>,
    /// Largest path first, then smallest index.
    ready: BinaryHeap<(u64, Reverse<usize>)>,
}

impl Queue {
    /// Makes the queue of units `0..parents.len()`, each with its parents. A parent stands before its children.
    ///
    /// `cost` is how long a unit is expected to take, in any one scale.
    pub fn new(parents: &[Vec<usize>], cost: impl Fn(usize) -> u64) -> Queue {
        let mut children = vec![Vec::new(); parents.len()];
        for (unit, parents) in parents.iter().enumerate() {
            parents.iter().for_each(|parent| children[*parent].push(unit));
        }
        let mut path = vec![0; parents.len()];
        for unit in (0..parents.len()).rev() {
            let below = children[unit].iter().map(|child| path[*child]).max().unwrap_or(0);
            path[unit] = below + cost(unit);
        }
        let ready = (0..parents.len())
            .filter(|unit| parents[*unit].is_empty())
            .map(|unit| (path[unit], Reverse(unit)))
            .collect();
        Queue { children, awaited: parents.iter().map(Vec::len).collect(), path, ready }
    }

    /// Takes the next ready unit; none when all that is left waits for a parent.
    pub fn take(&mut self) -> Option<usize> {
        self.ready.pop().map(|(_, Reverse(unit))| unit)
    }

    /// A unit that was taken is done: children that waited for it alone become ready.
    pub fn finish(&mut self, unit: usize) {
        for child in &self.children[unit] {
            self.awaited[*child] -= 1;
            if self.awaited[*child] == 0 {
                self.ready.push((self.path[*child], Reverse(*child)));
            }
        }
    }

    /// A unit that was taken has failed: gives all its descendants, parents first, which will never be ready.
    pub fn fail(&mut self, unit: usize) -> Vec<usize> {
        let mut lost = self.children[unit].clone();
        let mut known: HashSet<usize> = lost.iter().copied().collect();
        let mut at = 0;
        while at < lost.len() {
            lost.extend(self.children[lost[at]].iter().filter(|child| known.insert(**child)));
            at += 1;
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0 -> (1 -> (3, 4), 2)
    fn tree() -> [Vec<usize>; 5] {
        [vec![], vec![0], vec![0], vec![1], vec![1]]
    }

    #[test]
    fn the_longest_path_comes_first_and_children_wait() {
        let mut queue = Queue::new(&tree(), |_| 1);
        assert_eq!((queue.take(), queue.take()), (Some(0), None));
        queue.finish(0);
        assert_eq!((queue.take(), queue.take(), queue.take()), (Some(1), Some(2), None));
        queue.finish(2);
        queue.finish(1);
        assert_eq!((queue.take(), queue.take()), (Some(3), Some(4)));
        assert_eq!(queue.take(), None);
    }

    #[test]
    fn an_expensive_leaf_goes_before_a_cheap_subtree() {
        let mut queue = Queue::new(&tree(), |unit| if unit == 2 { 10 } else { 1 });
        queue.take();
        queue.finish(0);
        assert_eq!(queue.take(), Some(2));
    }

    #[test]
    fn a_failure_gives_up_its_descendants_and_nothing_else() {
        let mut queue = Queue::new(&tree(), |_| 1);
        queue.take();
        queue.finish(0);
        assert_eq!(queue.take(), Some(1));
        assert_eq!(queue.fail(1), [3, 4]);
        assert_eq!(queue.take(), Some(2));
        queue.finish(2);
        assert_eq!(queue.take(), None);
    }

    #[test]
    fn a_unit_waits_for_all_its_parents_and_is_lost_once() {
        let diamond = [vec![], vec![0], vec![0], vec![1, 2]];
        let mut queue = Queue::new(&diamond, |_| 1);
        queue.take();
        queue.finish(0);
        assert_eq!((queue.take(), queue.take()), (Some(1), Some(2)));
        queue.finish(2);
        assert_eq!(queue.take(), None);
        queue.finish(1);
        assert_eq!((queue.take(), queue.take()), (Some(3), None));
        let mut queue = Queue::new(&diamond, |_| 1);
        queue.take();
        assert_eq!(queue.fail(0), [1, 2, 3]);
    }
}
