//! The interfaces by index. A sub-interface that is deleted leaves its index free.

use super::interfaces::Interface;

/// The interfaces by index.
#[derive(Default)]
pub(super) struct InterfaceSet(Vec<Option<Interface>>);

impl InterfaceSet {
    pub(super) fn get(&self, index: usize) -> Option<&Interface> {
        self.0.get(index)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Interface> {
        self.0.get_mut(index)?.as_mut()
    }

    /// All of them, in the order of their indices.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Interface> {
        self.0.iter().flatten()
    }

    /// All of them with their indices.
    pub(super) fn indexed(&self) -> impl Iterator<Item = (u16, &Interface)> {
        (0..)
            .zip(&self.0)
            .filter_map(|(index, interface)| Some((index, interface.as_ref()?)))
    }

    pub(super) fn insert(&mut self, index: u16, interface: Interface) {
        let index = usize::from(index);
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        if let Some(place) = self.0.get_mut(index) {
            *place = Some(interface);
        }
    }

    pub(super) fn remove(&mut self, index: u16) -> Option<Interface> {
        self.0.get_mut(usize::from(index))?.take()
    }
}
