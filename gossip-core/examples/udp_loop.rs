//! A member over a plain `UdpSocket`: no runtime, one thread, one loop.
//!
//! ```sh
//! cargo run -p gossip-core --example udp_loop -- 127.0.0.1:7501
//! cargo run -p gossip-core --example udp_loop -- 127.0.0.1:7502 127.0.0.1:7501
//! ```
//! Each node starts an event every two seconds and prints what it hears, for ten seconds or as many as the third argument says.

use std::error::Error;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use gossip_core::{Command, Config, Event, Input, Instant, Node, Setup};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let local: SocketAddr = arguments.next().ok_or("usage: udp_loop IP:PORT [SEED_IP:PORT [SECONDS]]")?.parse()?;
    let seeds: Vec<SocketAddr> = arguments.next().map(|seed| seed.parse()).transpose()?.into_iter().collect();
    let seconds: u64 = arguments.next().map_or(Ok(10), |seconds| seconds.parse())?;

    let socket = UdpSocket::bind(local)?;
    let origin = std::time::Instant::now();
    let now = || Instant::from_nanos(origin.elapsed().as_nanos() as u64);
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let setup = Setup {
        seed: since_1970.as_nanos() as u64 ^ u64::from(local.port()),
        first_sequence: (since_1970.as_millis() as u64) << 16,
        ..Setup::new(local)
    };
    let mut node = Node::new(now(), Config::local(), &setup)?;
    node.handle(now(), Input::Command(Command::Join { seeds: &seeds }))?;

    let mut buffer = [0; 2048];
    let mut next_event = Duration::from_secs(2);
    loop {
        while let Some(transmit) = node.poll_transmit(now(), &mut buffer) {
            // A datagram that the system refuses is a lost datagram: the protocol lives with that.
            let _ = socket.send_to(&buffer[..transmit.len], transmit.to);
        }
        while let Some(event) = node.poll_event() {
            match event {
                Event::UserEvent { id, payload, hops, .. } => {
                    println!(
                        "{}: event {} after {hops} hops: {}",
                        local,
                        id.sequence,
                        String::from_utf8_lossy(&payload)
                    );
                }
                Event::MemberChanged { addr, state, .. } => println!("{local}: {addr} is {state:?}"),
                Event::Left => return Ok(()),
                _ => {}
            }
        }
        let Some(due) = node.poll_timeout() else { return Ok(()) };
        let wait = due.since(now()).clamp(Duration::from_millis(1), Duration::from_millis(100));
        socket.set_read_timeout(Some(wait))?;
        match socket.recv_from(&mut buffer) {
            // A datagram that cannot be decoded was dropped and counted.
            Ok((len, from)) => drop(node.handle(now(), Input::Datagram { from, bytes: &buffer[..len] })),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                node.handle(now(), Input::Timeout)?;
            }
            Err(error) => return Err(error.into()),
        }
        if origin.elapsed() > next_event && origin.elapsed() < Duration::from_secs(seconds) {
            next_event += Duration::from_secs(2);
            node.handle(now(), Input::Command(Command::event(format!("hello from {local}").as_bytes())))?;
        } else if origin.elapsed() > Duration::from_secs(seconds) {
            // An error here says that the goodbye is being said already.
            let _ = node.handle(now(), Input::Command(Command::Leave));
        }
    }
}
