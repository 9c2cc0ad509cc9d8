//! The client library between a process and a Redis server: what it does while the server is gone.
//!
//! One connection a process carries all of its commands. When it is lost, commands wait in the client
//! (the *offline queue*) for the next connection, or for the client to give them up.
//!
//! - **ioredis 5.11.1** (`built/redis/event_handler.js`, `RedisOptions.js`): every close of the socket,
//!   that of a failed attempt included, counts one; attempt n comes min(50 n, 2000) ms after it. When
//!   the count is a multiple of `maxRetriesPerRequest` + 1, all commands that wait are failed, whenever
//!   they came: with the default, after 20 attempts. Only a connection that is ready sets it back.
//! - **ioredis 6.0.0**: the same with min(50 x 2^(n-1), 5000) ms and up to 200 ms more.
//! - **node-redis 6.3.1** (`client/socket.js`, `commands-queue.js`): commands on their way fail with the
//!   socket, those not yet written wait, each for its own timeout of 5 s. The first attempt comes at
//!   once, the one after n failures min(50 x 2^n, 2000) ms later, and up to 200 ms more.

use crate::units::Duration;

/// Whose rules a client follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Product {
    /// ioredis 5.
    Ioredis5,
    /// ioredis 6.
    Ioredis6,
    /// node-redis 6.
    NodeRedis,
}

/// How a client is set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientRules {
    /// Whose rules.
    pub product: Product,
    /// Commands wait while there is no connection; without, they fail at once.
    pub offline_queue: bool,
    /// Attempts to connect before all that waits is failed; [`None`]: never.
    pub retries: Option<u32>,
    /// How long an attempt to connect may take.
    pub connect_timeout: Duration,
    /// How long a command may take: in node-redis until it is written, in ioredis until its answer.
    pub command_timeout: Option<Duration>,
    /// The most commands that it holds, waiting and on their way.
    pub most: Option<u32>,
    /// It is ioredis' client of a Redis Cluster: it keeps no queue for a node, and asks again elsewhere.
    pub redirects: bool,
}

impl ClientRules {
    /// Round trips from the first packet until commands are sent: TCP, what introduces the client, and
    /// ioredis' ready check (INFO).
    pub fn round_trips(&self) -> u64 {
        match self.product {
            Product::Ioredis5 | Product::Ioredis6 => 3,
            Product::NodeRedis => 2,
        }
    }
    /// Whether a command on its way can be given up.
    pub fn times_all(&self) -> bool {
        self.product != Product::NodeRedis && self.command_timeout.is_some()
    }
    /// Whether what was on its way when the connection was lost is sent again.
    pub fn resends(&self) -> bool {
        self.product != Product::NodeRedis
    }
}

/// The connection of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Socket {
    /// Commands are written to it.
    Ready,
    /// There is none: the next attempt is to come, or is under way.
    Gone,
}

/// What follows the close of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed {
    /// When the next attempt is made.
    pub retry_in: Duration,
    /// All commands that wait are failed.
    pub flush: bool,
}

/// A client of one server.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    socket: Socket,
    /// Closes since the connection was last ready.
    closes: u32,
}

impl Client {
    /// One that is connected.
    pub fn connected() -> Client {
        Client { socket: Socket::Ready, closes: 0 }
    }
    /// One that has not been connected yet.
    pub fn dialling() -> Client {
        Client { socket: Socket::Gone, closes: 0 }
    }
    /// Whether commands are written at once.
    pub fn is_ready(&self) -> bool {
        self.socket == Socket::Ready
    }
    /// A connection is ready.
    pub fn ready(&mut self) {
        *self = Client::connected();
    }
    /// The socket has closed, or an attempt has failed; `unit` is a draw from [0, 1).
    pub fn closed(&mut self, rules: &ClientRules, unit: f64) -> Closed {
        let was_ready = std::mem::replace(&mut self.socket, Socket::Gone) == Socket::Ready;
        self.closes += 1;
        let n = self.closes;
        let jitter = (unit * 200.0) as u64; // whole milliseconds, as both products draw them
        let doubled = |times: u32, cap: u64| (50u64 << times.min(16)).min(cap);
        let retry_ms = match rules.product {
            Product::Ioredis5 => (50 * u64::from(n)).min(2_000),
            Product::Ioredis6 => doubled(n - 1, 5_000) + jitter,
            Product::NodeRedis if was_ready => 0,
            Product::NodeRedis => doubled(n - 1, 2_000) + jitter,
        };
        let counts = rules.product != Product::NodeRedis;
        let flush = counts && rules.retries.is_some_and(|most| n.is_multiple_of(most + 1));
        Closed { retry_in: Duration::millis(retry_ms), flush }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(product: Product, retries: Option<u32>) -> ClientRules {
        ClientRules {
            product,
            offline_queue: true,
            retries,
            connect_timeout: Duration::secs(10),
            command_timeout: None,
            most: None,
            redirects: false,
        }
    }

    /// When commands are failed, in milliseconds after the loss, if every attempt is refused at once.
    fn flushes(rules: ClientRules, count: usize) -> Vec<u64> {
        let mut client = Client::connected();
        let (mut at, mut all) = (0, Vec::new());
        while all.len() < count {
            let closed = client.closed(&rules, 0.0);
            if closed.flush {
                all.push(at);
            }
            at += closed.retry_in.0 / Duration::millis(1).0;
        }
        all
    }

    #[test]
    fn ioredis_5_flushes_when_its_attempts_are_used_up() {
        // 50 + 100 + 150, and every fourth close after that.
        assert_eq!(flushes(rules(Product::Ioredis5, Some(3)), 3), [300, 1_400, 3_300]);
        // 50 x (1 + ... + 20).
        assert_eq!(flushes(rules(Product::Ioredis5, Some(20)), 1), [10_500]);
        // Far into an outage: four attempts of 2 s each.
        let late = flushes(rules(Product::Ioredis5, Some(3)), 20);
        assert_eq!(late[19] - late[18], 8_000);
        assert_eq!(flushes(rules(Product::Ioredis5, Some(0)), 3), [0, 50, 150]);
    }

    #[test]
    fn ioredis_6_doubles_its_pauses_up_to_five_seconds() {
        assert_eq!(
            flushes(rules(Product::Ioredis6, Some(3)), 2),
            [350, 350 + 400 + 800 + 1_600 + 3_200]
        );
        let late = flushes(rules(Product::Ioredis6, Some(3)), 6);
        assert_eq!(late[5] - late[4], 20_000);
    }

    #[test]
    fn node_redis_tries_at_once_and_never_flushes() {
        let rules = rules(Product::NodeRedis, None);
        let mut client = Client::connected();
        let pauses: Vec<u64> =
            (0..8).map(|_| client.closed(&rules, 0.0).retry_in.0 / Duration::millis(1).0).collect();
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
        assert_eq!(client.closed(&rules, 0.999_9).retry_in, Duration::millis(2_199));
        client.ready();
        assert!(client.is_ready());
        assert_eq!(client.closed(&rules, 0.5), Closed { retry_in: Duration::ZERO, flush: false });
    }

    #[test]
    fn without_a_number_of_retries_commands_wait_for_ever() {
        let mut client = Client::connected();
        let rules = rules(Product::Ioredis5, None);
        assert!((0..1_000).all(|_| !client.closed(&rules, 0.0).flush));
    }
}
