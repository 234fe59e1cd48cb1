//! Datagrams under way: their bytes in places of a few fixed lengths that are used again, so that none is allocated once as
//! many as ever were under way at once have been.

use crate::addresses::NodeId;
use crate::prefetch;

/// Lengths of places, each with a header in front of the bytes. What is longer has a place of its own length.
const STRIDES: [usize; 3] = [128, 512, 2048];

const HEADER_LEN: usize = 8;

/// Places in one piece of memory.
const CHUNK: usize = 1 << CHUNK_BITS;
const CHUNK_BITS: u32 = 6;

const CLASS_SHIFT: u32 = 30;
const LONG: u32 = 3;

/// The datagrams under way.
#[derive(Debug)]
pub(crate) struct Flights {
    classes: [Class; 3],
    long: Vec<(NodeId, Vec<u8>)>,
    long_free: Vec<u32>,
}

#[derive(Debug)]
struct Class {
    stride: usize,
    chunks: Vec<Box<[u8]>>,
    free: Vec<u32>,
}

impl Flights {
    pub(crate) fn new() -> Self {
        let classes = STRIDES.map(|stride| Class { stride, chunks: Vec::new(), free: Vec::new() });
        Self { classes, long: Vec::new(), long_free: Vec::new() }
    }

    /// Takes in a datagram; where it is.
    #[inline]
    pub(crate) fn put(&mut self, from: NodeId, bytes: &[u8]) -> u32 {
        let need = bytes.len() + HEADER_LEN;
        let Some(number) = STRIDES.iter().position(|&stride| need <= stride) else { return self.put_long(from, bytes) };
        let class = &mut self.classes[number];
        let place = class.free.pop().unwrap_or_else(|| class.grow());
        let slot = class.at_mut(place);
        let (header, room) = slot.split_at_mut(HEADER_LEN);
        header[..4].copy_from_slice(&from.to_le_bytes());
        header[4..].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
        room[..bytes.len()].copy_from_slice(bytes);
        (number as u32) << CLASS_SHIFT | place
    }

    #[cold]
    fn put_long(&mut self, from: NodeId, bytes: &[u8]) -> u32 {
        let place = self.long_free.pop().unwrap_or_else(|| {
            self.long.push((0, Vec::new()));
            self.long.len() as u32 - 1
        });
        let slot = &mut self.long[place as usize];
        slot.0 = from;
        slot.1.clear();
        slot.1.extend_from_slice(bytes);
        LONG << CLASS_SHIFT | place
    }

    /// Who sent the datagram at a place, and its bytes.
    #[inline]
    pub(crate) fn get(&self, flight: u32) -> (NodeId, &[u8]) {
        let place = flight & ((1 << CLASS_SHIFT) - 1);
        let Some(class) = self.classes.get((flight >> CLASS_SHIFT) as usize) else {
            let (from, bytes) = &self.long[place as usize];
            return (*from, bytes);
        };
        let (header, room) = class.at(place).split_at(HEADER_LEN);
        let (from, len) = header.split_at(4);
        (word(from), &room[..word(len) as usize])
    }

    /// Who sent the datagram at a place.
    #[inline]
    pub(crate) fn sender(&self, flight: u32) -> NodeId {
        let place = flight & ((1 << CLASS_SHIFT) - 1);
        match self.classes.get((flight >> CLASS_SHIFT) as usize) {
            Some(class) => word(&class.at(place)[..4]),
            None => self.long[place as usize].0,
        }
    }

    /// Has the datagram at a place fetched, if it is a short one.
    #[inline]
    pub(crate) fn fetch(&self, flight: u32) {
        if flight >> CLASS_SHIFT == 0 {
            let slot = self.classes[0].at(flight);
            prefetch::line(slot.as_ptr());
            prefetch::line(slot.as_ptr().wrapping_add(STRIDES[0] / 2));
        }
    }

    /// Gives a place back.
    #[inline]
    pub(crate) fn free(&mut self, flight: u32) {
        let place = flight & ((1 << CLASS_SHIFT) - 1);
        match self.classes.get_mut((flight >> CLASS_SHIFT) as usize) {
            Some(class) => class.free.push(place),
            None => {
                // Long ones are rare: their memory is not kept.
                self.long[place as usize].1 = Vec::new();
                self.long_free.push(place);
            }
        }
    }

    /// How many are under way.
    pub(crate) fn len(&self) -> usize {
        let used = |class: &Class| class.chunks.len() * CHUNK - class.free.len();
        self.classes.iter().map(used).sum::<usize>() + self.long.len() - self.long_free.len()
    }
}

#[inline]
fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

impl Class {
    /// More places; one of them.
    #[cold]
    fn grow(&mut self) -> u32 {
        let first = (self.chunks.len() << CHUNK_BITS) as u32;
        assert!(first >> CLASS_SHIFT == 0, "a thousand million datagrams under way");
        self.chunks.push(vec![0; self.stride << CHUNK_BITS].into());
        self.free.extend((first + 1..first + CHUNK as u32).rev());
        first
    }

    #[inline]
    fn at(&self, place: u32) -> &[u8] {
        let offset = (place as usize & (CHUNK - 1)) * self.stride;
        &self.chunks[place as usize >> CHUNK_BITS][offset..offset + self.stride]
    }

    #[inline]
    fn at_mut(&mut self, place: u32) -> &mut [u8] {
        let offset = (place as usize & (CHUNK - 1)) * self.stride;
        &mut self.chunks[place as usize >> CHUNK_BITS][offset..offset + self.stride]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_of_every_length_come_back_as_they_went_and_their_places_are_used_again() {
        let mut flights = Flights::new();
        let bytes: Vec<u8> = (0..5_000_u32).map(|n| n as u8).collect();
        let lengths = [0, 1, 119, 120, 121, 503, 504, 505, 1_400, 2_039, 2_040, 2_041, 5_000];
        let mut places = Vec::new();
        for _ in 0..3 {
            let put: Vec<u32> =
                (0..lengths.len() * 20).map(|n| flights.put(n as u32, &bytes[..lengths[n % lengths.len()]])).collect();
            assert_eq!(flights.len(), put.len());
            for (n, &flight) in put.iter().enumerate() {
                assert_eq!(flights.get(flight), (n as u32, &bytes[..lengths[n % lengths.len()]]));
            }
            put.iter().for_each(|&flight| flights.free(flight));
            assert_eq!(flights.len(), 0);
            places.push(flights.classes.iter().map(|class| class.chunks.len()).collect::<Vec<_>>());
        }
        assert_eq!(places[0], places[2], "none was added");
    }
}
