//! Network coordinates: how far members are from each other, told from a few round trips (Vivaldi).
//!
//! Every node has a place in a space in which the distance of two nodes is about the round trip between them, so it can tell
//! the round trip to a member that it never probed, and that between two others. Four dimensions stand for the distances of the
//! networks, the height for the access link, which every way passes (Dabek, Cox, Kaashoek, Morris, SIGCOMM 2004).
//! With places x, heights h, errors e, and a round trip R to a member that tells its place, error and height:
//!
//! ```text
//!   (1)  raw distance        ‖x_i − x_j‖ + h_i + h_j                                    (height vectors)
//!   (2)  distance            raw distance + a_i + a_j, if that is positive                        (adjustment)
//!   (3)  weight              w = e_i / (e_i + e_j)                                      (Fig. 3, as 4 to 6)
//!   (4)  relative error      s = |distance − R| / R;     e_i = c_e·w·s + (1 − c_e·w)·e_i          c_e = ¼
//!   (5)  force               f = c_c·w·(R − distance), at most 50 ms either way                   c_c = ¼
//!   (6)  step                x_i += f·(x_i − x_j)/raw,   h_i += f·(h_i + h_j)/raw
//!   (7)  adjustment          a_i = mean of R − raw distance over the last 20 samples, halved
//!   (8)  gravity             x_i −= (‖x_i‖ / 150 s)² · 1 s, towards the origin
//! ```
//! R is the median of the last three round trips to this member, which takes out single outliers, and (8) keeps the whole cluster
//! from drifting away (Ledlie, Gardner, Seltzer, NSDI 2007; the constants are Serf's). (7) is that of Lee, Zhang,
//! Sahu and Saha (SIGMETRICS 2006), for what no space can show: triangles whose long side is longer than the two others.
//!
//! All of it is integer arithmetic in nanoseconds and in 1/65,536, so all machines agree. A member can lie about its place: the bound in (5)
//! makes a lie move this node by 50 ms at most, and the adjustment counts no sample beyond R.

use alloc::collections::{BTreeMap, VecDeque};
use core::time::Duration;

use crate::address::Address;
use crate::rng::Rng;
use crate::wire::{Reader, Writer, unzigzag, zigzag};

/// Dimensions of the space, the height not counted.
pub const DIMENSIONS: usize = 4;

/// A place in the space of round trips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coordinate {
    /// Nanoseconds.
    position: [i64; DIMENSIONS],
    /// Nanoseconds.
    height: i64,
    /// Nanoseconds.
    adjustment: i64,
    /// In 1/65,536.
    error: i64,
}

/// One.
const ONE: i64 = 1 << 16;
/// The error of who knows nothing, and the greatest: 1.5.
const ERROR_MAX: i64 = ONE * 3 / 2;
/// c_e and c_c, as the divisor of one.
const GAIN: i64 = 4;
/// The least height, 10 µs.
const HEIGHT_MIN: i64 = 10_000;
/// No coordinate is farther out than this in any dimension, 8.6 s.
const FAR: i64 = 1 << 33;
/// The longest step that a sample can cause.
const STEP_MAX: i64 = 50_000_000;
/// Round trips are taken for at least 1 µs and at most 10 s.
const RTT: core::ops::RangeInclusive<i64> = 1_000..=10_000_000_000;
/// ρ of the gravity squared, with what makes of squared microseconds nanoseconds.
const GRAVITY: i64 = 150 * 150 * 1_000;
/// Samples of which the adjustment is the mean.
const WINDOW: usize = 20;
/// Round trips per member of which the median counts.
const FILTER: usize = 3;

/// On the wire nanoseconds are in units of 2^14 (16 µs), the error in units of 1/64.
const WIRE_SHIFT: u32 = 14;
const WIRE_FAR: u64 = (FAR >> WIRE_SHIFT) as u64;
const WIRE_ERROR_SHIFT: u32 = 10;

impl Coordinate {
    const ORIGIN: Self = Self { position: [0; DIMENSIONS], height: HEIGHT_MIN, adjustment: 0, error: ERROR_MAX };

    /// The round trip between two nodes as their coordinates have it.
    #[must_use]
    pub fn distance_to(&self, other: &Self) -> Duration {
        Duration::from_nanos(self.distance(other).unsigned_abs())
    }

    /// How far its estimates are off, in relation to the round trip: 0 is exact, 1.5 knows nothing.
    #[must_use]
    pub fn error(&self) -> f32 {
        self.error as f32 / ONE as f32
    }

    /// Equation 2; never negative.
    fn distance(&self, other: &Self) -> i64 {
        let raw = self.raw_distance(other);
        let adjusted = raw + self.adjustment + other.adjustment;
        if adjusted > 0 { adjusted } else { raw }
    }

    /// Equation 1.
    fn raw_distance(&self, other: &Self) -> i64 {
        length(self.away_from(&other.position)) + self.height + other.height
    }

    fn away_from(&self, from: &[i64; DIMENSIONS]) -> [i64; DIMENSIONS] {
        core::array::from_fn(|i| self.position[i] - from[i])
    }

    /// Equations 3 to 6.
    fn pull(&mut self, other: &Self, rtt: i64, rng: &mut Rng) {
        let distance = self.distance(other);
        let weight = self.error * ONE / (self.error + other.error).max(1) / GAIN;
        let wrongness = ((distance - rtt).abs() * ONE / rtt).min(ERROR_MAX);
        self.error = ((weight * wrongness + (ONE - weight) * self.error) / ONE).clamp(1, ERROR_MAX);
        let force = (weight * (rtt - distance) / ONE).clamp(-STEP_MAX, STEP_MAX);
        let away = self.away_from(&other.position);
        if length(away) == 0 {
            // Two at one place: any direction will do, as long as not all take the same.
            let away = core::array::from_fn(|_| i64::from(rng.below(1 << 16)) - (1 << 15));
            self.step(away, length(away), force);
            return;
        }
        let raw = self.raw_distance(other);
        self.step(away, raw, force);
        self.height = (self.height + (self.height + other.height) * force / raw).clamp(HEIGHT_MIN, FAR);
    }

    /// Equation 8.
    fn fall(&mut self) {
        let distance = length(self.position);
        let micros = distance / 1_000;
        self.step(self.position, distance, -(micros * micros / GRAVITY));
    }

    fn step(&mut self, direction: [i64; DIMENSIONS], norm: i64, force: i64) {
        for (place, part) in self.position.iter_mut().zip(direction) {
            *place = (*place + part * force / norm.max(1)).clamp(-FAR, FAR);
        }
    }

    /// Tag excluded: error u8, height v, adjustment and position as zigzag v.
    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Option<()> {
        let round = |nanos: i64| (nanos + (1 << (WIRE_SHIFT - 1))) >> WIRE_SHIFT;
        writer.u8(((self.error + (1 << WIRE_ERROR_SHIFT) - 1) >> WIRE_ERROR_SHIFT) as u8)?;
        writer.varint(round(self.height) as u64)?;
        writer.varint(zigzag(round(self.adjustment)))?;
        self.position.iter().try_for_each(|&place| writer.varint(zigzag(round(place))))
    }

    /// `None` for what no node can have written.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let error = i64::from(reader.u8()?) << WIRE_ERROR_SHIFT;
        let height = (reader.varint().filter(|&units| units <= WIRE_FAR)? as i64) << WIRE_SHIFT;
        let mut signed = || Some(unzigzag(reader.varint().filter(|&units| units <= 2 * WIRE_FAR)?) << WIRE_SHIFT);
        let adjustment = signed()?;
        let mut position = [0; DIMENSIONS];
        for place in &mut position {
            *place = signed()?;
        }
        (1..=ERROR_MAX).contains(&error).then_some(Self { position, height, adjustment, error })
    }
}

fn length(vector: [i64; DIMENSIONS]) -> i64 {
    let square = |part: i64| u128::from(part.unsigned_abs()) * u128::from(part.unsigned_abs());
    vector.into_iter().map(square).sum::<u128>().isqrt() as i64
}

/// What is known of another member.
#[derive(Debug, Clone, Copy)]
struct Peer {
    coordinate: Coordinate,
    /// The last round trips, newest last; zeros where there were none.
    round_trips: [i64; FILTER],
}

/// This node's coordinate, and those that it heard of lately.
#[derive(Debug, Clone)]
pub(crate) struct Coordinates<A> {
    own: Coordinate,
    /// Last samples of the adjustment, and the place of the next.
    samples: [i64; WINDOW],
    next: usize,
    peers: BTreeMap<A, Peer>,
    /// In the order of their coming.
    order: VecDeque<A>,
    max: usize,
}

impl<A: Address> Coordinates<A> {
    /// `max` members are remembered.
    pub(crate) const fn new(max: usize) -> Self {
        Self {
            own: Coordinate::ORIGIN,
            samples: [0; WINDOW],
            next: 0,
            peers: BTreeMap::new(),
            order: VecDeque::new(),
            max,
        }
    }

    /// Remembers `max` members from now on; how many had to be forgotten for it.
    pub(crate) fn remember(&mut self, max: usize) -> usize {
        self.max = max;
        let beyond = self.order.len().saturating_sub(max);
        for addr in self.order.drain(..beyond) {
            self.peers.remove(&addr);
        }
        beyond
    }

    pub(crate) fn own(&self) -> Coordinate {
        self.own
    }

    pub(crate) fn of(&self, addr: &A) -> Option<Coordinate> {
        self.peers.get(addr).map(|peer| peer.coordinate)
    }

    /// A member tells where it is. True when another had to be forgotten for it.
    pub(crate) fn on_told(&mut self, addr: A, coordinate: Coordinate) -> bool {
        if let Some(peer) = self.peers.get_mut(&addr) {
            peer.coordinate = coordinate;
            return false;
        }
        let oldest = if self.order.len() >= self.max { self.order.pop_front() } else { None };
        if let Some(oldest) = &oldest {
            self.peers.remove(oldest);
        }
        self.peers.insert(addr, Peer { coordinate, round_trips: [0; FILTER] });
        self.order.push_back(addr);
        oldest.is_some()
    }

    /// A round trip to a member was measured.
    pub(crate) fn on_round_trip(&mut self, addr: &A, rtt: Duration, rng: &mut Rng) {
        let Some(peer) = self.peers.get_mut(addr) else { return };
        let rtt = i64::try_from(rtt.as_nanos()).unwrap_or(i64::MAX).clamp(*RTT.start(), *RTT.end());
        peer.round_trips.rotate_left(1);
        peer.round_trips[FILTER - 1] = rtt;
        let (other, rtt) = (peer.coordinate, median(peer.round_trips));
        self.own.pull(&other, rtt, rng);
        self.samples[self.next] = (rtt - self.own.raw_distance(&other)).clamp(-rtt, rtt);
        self.next = (self.next + 1) % WINDOW;
        self.own.adjustment = self.samples.iter().sum::<i64>() / (2 * WINDOW as i64);
        self.own.fall();
    }
}

/// Of those that are known; of two the lower.
fn median(mut values: [i64; FILTER]) -> i64 {
    values.sort_unstable();
    let unknown = values.iter().take_while(|&&value| value == 0).count();
    values[unknown + (FILTER - 1 - unknown) / 2]
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const MS: i64 = 1_000_000;

    fn at(position: [i64; DIMENSIONS], height: i64, error: i64) -> Coordinate {
        Coordinate { position, height, adjustment: 0, error }
    }

    #[test]
    fn hand_worked_distances() {
        let here = at([0, 0, 0, 0], MS, ONE);
        let there = at([3 * MS, 0, -4 * MS, 0], 2 * MS, ONE);
        assert_eq!(here.distance_to(&there), Duration::from_millis(8), "5 apart, 1 and 2 high");
        let adjusted = Coordinate { adjustment: -3 * MS, ..there };
        assert_eq!(here.distance_to(&adjusted), Duration::from_millis(5));
        let absurd = Coordinate { adjustment: -9 * MS, ..there };
        assert_eq!(here.distance_to(&absurd), Duration::from_millis(8), "no round trip is negative");
    }

    #[test]
    fn a_hand_worked_pull() {
        // Distance 8, round trip 16, equal errors: w = ½, f = 8/8 = 1 ms, s = ½, e = ⅛·½ + ⅞·1 = 15/16.
        let mut node = at([3 * MS, 0, -4 * MS, 0], 2 * MS, ONE);
        node.pull(&at([0; 4], MS, ONE), 16 * MS, &mut Rng::new(1));
        assert_eq!(node.error, ONE * 15 / 16);
        assert_eq!(node.position, [3 * MS + MS * 3 / 8, 0, -4 * MS - MS / 2, 0]);
        assert_eq!(node.height, 2 * MS + MS * 3 / 8, "the three parts of the step sum up to it");
    }

    #[test]
    fn the_median_is_of_what_is_known() {
        assert_eq!([[0, 0, 5], [0, 5, 3], [7, 1, 5], [9, 9, 1]].map(median), [5, 3, 5, 9]);
    }

    #[test]
    fn a_lie_moves_a_node_by_a_bounded_step_and_nothing_overflows() {
        let mut rng = Rng::new(2);
        let extremes = [-FAR, 0, FAR];
        for x in extremes {
            for y in extremes {
                for (height, adjustment) in [(0, -FAR), (FAR, FAR), (0, FAR), (FAR, -FAR)] {
                    for rtt in [0, 1, 1_000_000, u64::MAX] {
                        let lie = Coordinate { position: [x, y, x, y], height, adjustment, error: 1 << 10 };
                        let mut node = Coordinates::<u16>::new(4);
                        node.own.position = [y, -x, 0, 1];
                        let before = node.own;
                        node.on_told(1, lie);
                        node.on_round_trip(&1, Duration::from_nanos(rtt), &mut rng);
                        let fell = length(before.position) / 1_000;
                        let moved = length(before.away_from(&node.own.position));
                        assert!(moved <= STEP_MAX + fell * fell / GRAVITY + 4, "{moved} by {lie:?}");
                        assert!((node.own.height - before.height).abs() <= STEP_MAX);
                        assert!(node.own.adjustment.abs() <= *RTT.end() / 40 && node.own.error <= ERROR_MAX);
                    }
                }
            }
        }
    }

    #[test]
    fn honest_nodes_find_their_places_among_a_tenth_of_liars() {
        // Thirty nodes on a ring of 100 ms diameter, of which three tell another extreme each time and trust in it.
        let mut rng = Rng::new(3);
        let mut nodes = [const { Coordinates::<u16>::new(32) }; 30].to_vec();
        let round_trip = |a: usize, b: usize| {
            let steps = a.abs_diff(b).min(30 - a.abs_diff(b));
            Duration::from_micros(5_000 + 6_000 * steps as u64)
        };
        for probe in 0..200_usize {
            for a in 3..30 {
                let b = (a + 1 + rng.below(29) as usize) % 30;
                let told = if b < 3 {
                    let far = if probe % 2 == 0 { FAR } else { -FAR };
                    Coordinate { position: [far, -far, far, 0], height: FAR, adjustment: far, error: 1 << 10 }
                } else {
                    nodes[b].own
                };
                nodes[a].on_told(b as u16, told);
                nodes[a].on_round_trip(&(b as u16), round_trip(a, b), &mut rng);
            }
        }
        let mut wrong: Vec<f64> = Vec::new();
        for a in 3..30 {
            for b in a + 1..30 {
                let (told, real) = (nodes[a].own.distance_to(&nodes[b].own), round_trip(a, b));
                wrong.push((told.as_secs_f64() / real.as_secs_f64() - 1.0).abs());
            }
        }
        wrong.sort_by(f64::total_cmp);
        std::println!("median relative error among liars: {:.2}", wrong[wrong.len() / 2]);
        assert!(wrong[wrong.len() / 2] < 0.5, "{}", wrong[wrong.len() / 2]);
    }

    #[test]
    fn on_the_wire_a_coordinate_keeps_16_microseconds_and_what_is_out_of_range_is_refused() {
        let coordinate = Coordinate { position: [FAR, -FAR, 123_456, -1], height: FAR, adjustment: -FAR, error: 1 };
        let mut buffer = [0; 64];
        let mut writer = Writer::new(&mut buffer);
        coordinate.write(&mut writer).unwrap();
        let len = writer.len();
        let back = Coordinate::read(&mut Reader::new(&buffer[..len])).unwrap();
        for (before, after) in coordinate.position.iter().zip(back.position) {
            assert!((before - after).abs() <= 1 << 13);
        }
        assert_eq!((back.height, back.adjustment, back.error), (FAR, -FAR, 1 << 10));
        let mut again = [0; 64];
        let mut writer = Writer::new(&mut again);
        back.write(&mut writer).unwrap();
        assert_eq!(again, buffer, "what was read is written as it was");
        for bytes in [&[0, 0, 0, 0, 0, 0, 0][..], &[97, 0, 0, 0, 0, 0, 0], &[1, 0x81, 0x80, 0x20, 0, 0, 0, 0, 0]] {
            assert_eq!(Coordinate::read(&mut Reader::new(bytes)), None, "{bytes:?}");
        }
    }

    #[test]
    fn no_more_members_are_remembered_than_allowed() {
        let mut node = Coordinates::<u16>::new(2);
        assert!(!node.on_told(1, Coordinate::ORIGIN) && !node.on_told(2, Coordinate::ORIGIN));
        assert!(!node.on_told(1, Coordinate::ORIGIN) && node.on_told(3, Coordinate::ORIGIN));
        assert_eq!((node.of(&1), node.peers.len(), node.order.len()), (None, 2, 2));
    }
}
