//! Connection pools.

use crate::component::pool::{self, Lending};
use crate::component::pooler::PoolerConfig;
use crate::model::ids::*;
use crate::model::tape::Pc;
use crate::units::Duration;

/// A kind of connection pool: one per worker process, shard and database node.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// As measured.
    pub station: StationId,
    /// Whose workers have it.
    pub service: ServiceId,
    /// What it connects to.
    pub database: DatabaseId,
    /// The pooler that it goes through.
    pub pooler: Option<PoolerId>,
    /// The pool to the primary.
    pub config: pool::PoolConfig,
    /// The pools to the replicas, one per replica, where reads go to replicas.
    pub replica_config: Option<pool::PoolConfig>,
    /// The replicas of each shard that it reads from, counted from 1.
    pub reads_from: Vec<u32>,
    /// How all of its connections are lent in the long run, to the primaries and to the replicas.
    pub lending: [Lending; 2],
    /// Where on the tape its server's name is looked up, where that takes time.
    pub lookup: Option<Pc>,
    /// Its database's shards become more or fewer.
    pub reshards: bool,
    /// How long opening a connection may take.
    pub connect_timeout: Option<Duration>,
    /// How long the driver waits for the answer to a statement.
    pub query_timeout: Option<Duration>,
    /// It has the server cancel the statement then, over another connection.
    pub cancels: bool,
    /// Statements are cancelled after this; the database's own limit where there is none.
    pub statement_timeout: Option<Duration>,
    /// Which failed statements destroy their connections.
    pub discards: Discards,
    /// Who gives back a connection that is closed waits for the end of that.
    pub awaits_close: bool,
}

/// A pooler between services and a database: per server of the database, its connections to it.
#[derive(Clone, Debug)]
pub struct Pooler {
    /// Its name.
    pub name: String,
    /// As measured.
    pub station: StationId,
    /// What is behind it.
    pub database: DatabaseId,
    /// Its connections to each server.
    pub config: PoolerConfig,
    /// How they are lent in the long run if each is needed as long as its client's, to the primaries and
    /// to the replicas.
    pub lending: [Lending; 2],
    /// For how long a client keeps one.
    pub mode: PoolMode,
    /// In whose process it is: its own, or that of another.
    pub process: PoolerId,
    /// Connections of clients to its process at most.
    pub clients: u32,
    /// Connections of its process to each server at most.
    pub at_most: u32,
    /// The first pooler of its process whose user is the same, and the user's connections at most.
    pub user: (PoolerId, u32),
    /// Time on the core of its process for a statement, or for an answer; and where that is measured.
    pub core: Option<(Duration, StationId)>,
    /// Time on it for each client that logs in.
    pub login: Duration,
    /// Round trip between services and it, within a region.
    pub rtt: LawId,
    /// Time to open a connection to it.
    pub connect: LawId,
    /// How long opening a connection to the server may take.
    pub connect_timeout: Duration,
    /// How long its clients may take, where that is limited.
    pub times: Option<ClientTimes>,
}

/// How long clients of a pooler may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientTimes {
    /// A statement, from when it reaches the pooler until its answer does.
    pub query: Option<Duration>,
    /// A transaction between two statements.
    pub between: Option<Duration>,
    /// A transaction, from its first statement on.
    pub transaction: Option<Duration>,
    /// A client between two transactions.
    pub idle: Option<Duration>,
}

impl ClientTimes {
    /// Whether a statement may be given up that somebody waits for.
    pub fn gives_up(&self) -> bool {
        self.query.is_some() || self.transaction.is_some()
    }
    /// Whether anything is limited.
    pub fn any(&self) -> bool {
        [self.query, self.between, self.transaction, self.idle].iter().any(Option::is_some)
    }
}

/// Which connections pools and poolers start with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fill {
    /// Those that long use leaves open.
    Warm,
    /// None.
    Empty,
    /// All.
    Full,
}

/// For how long a client of a pooler keeps a connection to the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PoolMode {
    /// As long as it is connected.
    Session,
    /// For a transaction.
    Transaction,
    /// For a statement.
    Statement,
}

/// Which failed statements destroy their connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Discards {
    /// None.
    Never,
    /// Those that are alone (`pool.query`): in a transaction the application gives the connection back.
    Queries,
    /// All.
    Always,
}
