//! The UDP socket, and the shim that asks the fault models what becomes of each datagram, in both directions.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use event_log::clock::now_ns;
use event_log::record::FaultCounts;
use netem::spec::Direction;
use netem::{Endpoint, Fate, Impairment, Netem, Shaper};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// Receive buffer asked for, bytes. The kernel's default holds some 270 small datagrams, which a burst overruns.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Most datagrams held back by delays, in each direction.
const HELD_MAX: usize = 1 << 16;

/// The largest datagram that is read.
const DATAGRAM_MAX: usize = 65_535;

/// What went over the wire, on the kernel's side of the shim.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WireCounts {
    /// Datagrams given to the kernel.
    pub datagrams_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Datagrams read from the kernel.
    pub datagrams_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// Datagrams that the kernel refused to take.
    pub send_errors: u64,
}

/// A socket behind fault models.
#[derive(Debug)]
pub struct GossipSocket {
    socket: UdpSocket,
    /// The same socket for sending: a datagram is given to the kernel at once or not at all, whatever the runtime has
    /// heard of the socket's readiness.
    sender: std::net::UdpSocket,
    local: SocketAddr,
    netem: Netem,
    held_out: Shaper<(SocketAddr, Box<[u8]>)>,
    held_in: Shaper<(SocketAddr, Box<[u8]>)>,
    counts: WireCounts,
    buffer: Box<[u8]>,
}

impl GossipSocket {
    /// Binds `local` and asks for a large receive buffer. `seed` is the fault models' seed.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn bind(local: SocketAddr, seed: u64) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        // The kernel grants what its limit allows; what it granted is recorded.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        socket.bind(&local.into())?;
        let sender = socket.try_clone()?.into();
        Ok(Self {
            socket: UdpSocket::from_std(socket.into())?,
            sender,
            local,
            netem: Netem::new(seed, endpoint(local)),
            held_out: Shaper::new(HELD_MAX),
            held_in: Shaper::new(HELD_MAX),
            counts: WireCounts::default(),
            buffer: vec![0; DATAGRAM_MAX].into(),
        })
    }

    /// The receive buffer that the kernel granted, bytes (the kernel counts its own overhead in it).
    #[must_use]
    pub fn receive_buffer(&self) -> u64 {
        socket2::SockRef::from(&self.socket).recv_buffer_size().map_or(0, |bytes| bytes as u64)
    }

    /// Sends a datagram, or does what the fault models say.
    pub fn send(&mut self, to: SocketAddr, bytes: &[u8]) {
        let now = now();
        match self.netem.judge(now, Direction::Out, endpoint(to), bytes.len()) {
            Fate::Deliver { delay } if delay.is_zero() => self.transmit(to, bytes),
            // A full queue counts what it refuses.
            Fate::Deliver { delay } => drop(self.held_out.push(now, now + delay, (to, bytes.into()))),
            Fate::Drop(_) => {}
        }
    }

    fn transmit(&mut self, to: SocketAddr, bytes: &[u8]) {
        match self.sender.send_to(bytes, to) {
            Ok(_) => {
                self.counts.datagrams_sent += 1;
                self.counts.bytes_sent += bytes.len() as u64;
            }
            // A full send buffer or an unreachable peer: to UDP both are loss.
            Err(_) => self.counts.send_errors += 1,
        }
    }

    /// Waits until there may be something to read.
    ///
    /// # Errors
    /// When the socket is broken.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Reads one datagram and hands it on if the fault models deliver it at once. `Ok(false)`: nothing is there.
    ///
    /// # Errors
    /// When the socket is broken.
    pub fn receive(&mut self, deliver: impl FnOnce(u64, SocketAddr, &[u8])) -> io::Result<bool> {
        let (len, from) = match self.socket.try_recv_from(&mut self.buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            // What an ICMP message said about a datagram sent earlier is no fault of this socket.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(true),
            Err(error) => return Err(error),
        };
        let at_ns = now_ns();
        let now = Duration::from_nanos(at_ns);
        self.counts.datagrams_received += 1;
        self.counts.bytes_received += len as u64;
        match self.netem.judge(now, Direction::In, endpoint(from), len) {
            Fate::Deliver { delay } if delay.is_zero() => deliver(at_ns, from, &self.buffer[..len]),
            Fate::Deliver { delay } => drop(self.held_in.push(now, now + delay, (from, self.buffer[..len].into()))),
            Fate::Drop(_) => {}
        }
        Ok(true)
    }

    /// Sends what was held back until now, and gives the next datagram whose incoming delay is over.
    pub fn release(&mut self) -> Option<(SocketAddr, Box<[u8]>)> {
        let now = now();
        while let Some((_, (to, bytes))) = self.held_out.pop_due(now) {
            self.transmit(to, &bytes);
        }
        self.held_in.pop_due(now).map(|(_, datagram)| datagram)
    }

    /// When the shim has something to do: a delay is over, or a fault ends.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        let due = [self.held_out.next_due(), self.held_in.next_due(), self.netem.next_end()];
        due.into_iter().flatten().min().map(|due| u64::try_from(due.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Lets a fault take effect.
    pub fn impair(&mut self, id: u32, impairment: Impairment) {
        self.netem.impair(now(), id, impairment);
    }

    /// Ends all faults.
    pub fn heal(&mut self) {
        self.netem.heal();
    }

    /// A fault that ended by itself.
    pub fn poll_ended(&mut self) -> Option<u32> {
        self.netem.poll_ended(now())
    }

    /// What went over the wire.
    #[must_use]
    pub fn counts(&self) -> WireCounts {
        self.counts
    }

    /// What the fault models did.
    #[must_use]
    pub fn fault_counts(&self) -> FaultCounts {
        FaultCounts {
            queue_dropped: self.held_out.dropped() + self.held_in.dropped(),
            delay_late_sum_ns: (self.held_out.late_sum() + self.held_in.late_sum()).as_nanos() as f64,
            ..self.netem.counts().into()
        }
    }

    /// Datagrams that the kernel dropped because the receive buffer was full, from its table of sockets.
    #[must_use]
    pub fn receive_buffer_overflows(&self) -> u64 {
        let table = if self.local.is_ipv4() { "/proc/self/net/udp" } else { "/proc/self/net/udp6" };
        std::fs::read_to_string(table).ok().and_then(|table| drops(&table, self.local)).unwrap_or(0)
    }
}

/// The fault models' name for a node: its address as a number, the same at every node.
#[must_use]
pub fn endpoint(addr: SocketAddr) -> Endpoint {
    Endpoint(match addr {
        SocketAddr::V4(addr) => u64::from(addr.ip().to_bits()) << 16 | u64::from(addr.port()),
        SocketAddr::V6(_) => netem::seed::child(0, &addr.to_string()),
    })
}

fn now() -> Duration {
    Duration::from_nanos(now_ns())
}

/// The last column of the line of `local` in the kernel's table of UDP sockets.
fn drops(table: &str, local: SocketAddr) -> Option<u64> {
    let address: String = match local {
        // As the kernel prints them: 32-bit words in the machine's order.
        SocketAddr::V4(addr) => format!("{:08X}", u32::from_ne_bytes(addr.ip().octets())),
        SocketAddr::V6(addr) => {
            let words = addr.ip().octets();
            words
                .chunks_exact(4)
                .map(|word| format!("{:08X}", u32::from_ne_bytes([word[0], word[1], word[2], word[3]])))
                .collect()
        }
    };
    let key = format!("{address}:{:04X}", local.port());
    let line = table.lines().find(|line| line.split_whitespace().nth(1) == Some(key.as_str()))?;
    line.split_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernels_table_knows_the_socket() {
        let socket = GossipSocket::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let local = socket.socket.local_addr().unwrap();
        let table = std::fs::read_to_string("/proc/self/net/udp").unwrap();
        assert_eq!(drops(&table, local), Some(0));
        assert_eq!(drops(&table, "127.0.0.9:9".parse().unwrap()), None);
        assert!(socket.receive_buffer() >= 100_000);
    }

    #[tokio::test]
    async fn the_shim_does_what_the_models_say_and_counts_it() {
        let mut one = GossipSocket::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let mut two = GossipSocket::bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let to = two.socket.local_addr().unwrap();
        let drop_next = netem::spec::DropNext { count: 1, direction: Direction::In };
        two.impair(0, Impairment::DropNext(drop_next));
        let mut got = Vec::new();
        for byte in 0..3 {
            one.send(to, &[byte]);
            two.readable().await.unwrap();
            while two.receive(|_, _, bytes| got.push(bytes[0])).unwrap() {}
        }
        assert_eq!(got, [1, 2]);
        assert_eq!((two.fault_counts().next_dropped, two.fault_counts().judged_in), (1, 3));
        assert_eq!((one.counts().datagrams_sent, two.counts().datagrams_received), (3, 3));
        assert_eq!(two.poll_ended(), Some(0));
    }
}
