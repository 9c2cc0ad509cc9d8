//! A vector that only its own kind of number can index.

use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

/// A number that names one of a kind of thing, 0 to n - 1.
pub trait Id: Copy {
    /// From its position.
    fn from_index(index: usize) -> Self;
    /// Its position.
    fn index(self) -> usize;
}

/// Declares [`Id`] types: `id! { /// A service. ServiceId }`.
#[macro_export]
macro_rules! id {
    ($($(#[$meta:meta])* $Name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
        pub struct $Name(pub u32);
        impl $crate::kernel::Id for $Name {
            #[inline(always)]
            fn from_index(index: usize) -> Self { $Name(index as u32) }
            #[inline(always)]
            fn index(self) -> usize { self.0 as usize }
        }
    )+};
}

/// A vector of `T`, indexed by `I` alone.
#[derive(Clone, Debug)]
pub struct Dense<I, T> {
    items: Vec<T>,
    id: PhantomData<I>,
}

impl<I: Id, T> Dense<I, T> {
    /// Of these, in order.
    pub fn new(items: Vec<T>) -> Dense<I, T> {
        Dense { items, id: PhantomData }
    }
    /// Adds one and says its number.
    pub fn push(&mut self, item: T) -> I {
        self.items.push(item);
        I::from_index(self.items.len() - 1)
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
    /// All of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.items.iter()
    }
    /// All of them, in order, to change.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.items.iter_mut()
    }
    /// Their numbers, in order.
    pub fn ids(&self) -> impl Iterator<Item = I> + use<I, T> {
        (0..self.items.len()).map(I::from_index)
    }
    /// Numbers and things together.
    pub fn enumerate(&self) -> impl Iterator<Item = (I, &T)> {
        self.items.iter().enumerate().map(|(index, item)| (I::from_index(index), item))
    }
}

impl<I, T> Default for Dense<I, T> {
    fn default() -> Self {
        Dense { items: Vec::new(), id: PhantomData }
    }
}
impl<I: Id, T> FromIterator<T> for Dense<I, T> {
    fn from_iter<It: IntoIterator<Item = T>>(items: It) -> Self {
        Dense::new(items.into_iter().collect())
    }
}
impl<I: Id, T> Index<I> for Dense<I, T> {
    type Output = T;
    #[inline(always)]
    fn index(&self, id: I) -> &T {
        &self.items[id.index()]
    }
}
impl<I: Id, T> IndexMut<I> for Dense<I, T> {
    #[inline(always)]
    fn index_mut(&mut self, id: I) -> &mut T {
        &mut self.items[id.index()]
    }
}
