//! Database servers.

use super::cache::Keys;
use super::dist::Dist;
use super::host::{Host, Priority};
use super::names::Ref;
use super::plan::Plan;
use super::price::{Price, VolumePrice};
use super::region::Region;
use super::replicas::Abroad;
use super::spec::spec;
use crate::units::{Bandwidth, Bytes, Duration, Money, Rate, Ratio};

spec! {
    /// A database server, with its replicas and shards.
    component Database {
        /// The product that it is.
        driver: DatabaseDriver = "\"postgres\""
            from "assumed: the server that node-postgres speaks to";
        /// Where it stands.
        region: Option<Ref<Region>> = "the only region" from "assumed: there is no choice";
        /// The machine that its servers are processes of, with whose other work their statements share
        /// its cores; `cores` are then the machine's.
        host: Option<Ref<Host>> = "servers have machines of their own"
            from "assumed: a database server stands alone";
        /// Who goes first on that machine.
        priority: Priority = "\"normal\"" from "Linux (SCHED_OTHER: all are equal)";
        /// Cores of each server; running statements share them equally.
        cores: f64 = "2" from "assumed: a small server", positive;
        /// Share of a statement's time that is CPU on the server; the rest waits for storage and
        /// does not contend.
        cpu_share: Ratio = "\"100%\"" from "assumed: data in memory";
        /// How much statements slow each other down.
        contention: Contention = "{}" from "assumed";
        /// Round trip between the application and it, within a region.
        rtt: Dist = "\"0.5ms\"" from "assumed: same zone";
        /// Time to open a connection, round trips included.
        connect: Dist = "\"50ms\""
            from "assumed: TCP, TLS, authentication and the start of a backend process";
        /// CPU time of opening a connection, a part of `connect`: a new process, the handshake, authentication,
        /// and the catalogs that it reads. It shares the server's cores with statements, so that a storm of
        /// connections slows down everybody.
        connect_cpu: Duration = "\"7ms\""
            from "PostgreSQL 15 with SCRAM and TLS: 6.8 and 8.7 ms in two measurements; without TLS 5.0 and 6.7 ms, \
            without a password 4.3 and 5.9 ms (pgbench -C, two cores of a cloud server, the end of the process \
            included)";
        /// The vendor's plan, which says how many connections each server accepts.
        plan: Option<Plan> = "none" from "assumed: a server of one's own";
        /// Connections that each server accepts; further ones are refused.
        max_connections: Option<u32> = "100, or those of the `plan`"
            from "PostgreSQL 15 postgresql.conf.sample (max_connections)", positive;
        /// Of these, kept back for administrators.
        reserved: Option<u32> = "3, or those of the `plan`"
            from "PostgreSQL 15 postgresql.conf.sample (superuser_reserved_connections)";
        /// A statement that takes longer is cancelled by the server.
        statement_timeout: Option<Duration> = "none"
            from "PostgreSQL 15 postgresql.conf.sample (statement_timeout 0)", positive;
        /// A statement that waits longer than this for a lock fails.
        lock_timeout: Option<Duration> = "none"
            from "PostgreSQL 15 postgresql.conf.sample (lock_timeout 0)", positive;
        /// How long a statement waits for a lock before it looks for a deadlock; if there is one it
        /// fails.
        deadlock_timeout: Duration = "\"1s\""
            from "PostgreSQL 15 postgresql.conf.sample (deadlock_timeout)", positive;
        /// A transaction that is idle for longer than this loses its connection, and its locks.
        idle_in_transaction_timeout: Option<Duration> = "none"
            from "PostgreSQL 15 postgresql.conf.sample (idle_in_transaction_session_timeout 0)",
            positive;
        /// How often a statement that runs looks whether its client is still connected: once the connection has
        /// closed (a driver's `query_timeout`, a process that died) it ends at the next multiple of this.
        client_check: Option<Duration> = "none: it runs to its end for nobody"
            from "PostgreSQL 15 postgresql.conf.sample (client_connection_check_interval 0)", positive;
        /// The volume that its data lie on.
        storage: Option<Storage> = "storage without limit" from "assumed: waits do not contend";
        /// Memory that keeps pages of its data: what a statement does not find there is read from storage.
        buffer: Option<Buffer> = "none: `cpu_share` says what waits for storage" from "assumed: data in memory";
        /// Memory of each server, and what its processes take of it.
        memory: Option<ServerMemory> = "there is always enough" from "assumed: sized for its connections";
        /// CPU credits of a burstable instance; each server has its own.
        credits: Option<CpuCredits> = "none" from "assumed: cores at full speed at all times";
        /// Copies that a commit waits for; they serve no reads.
        standby: Option<Standby> = "none" from "assumed: commits are local";
        /// Copies of each primary that serve reads.
        replicas: u32 = "0" from "assumed: none";
        /// Further copies of each primary that serve reads, in other regions.
        abroad: Vec<Abroad> = "[]" from "assumed: all copies are in one region";
        /// How long after the loss of its region a copy in another one has taken over, if the region is not back by
        /// then: what it has not received is lost, and the shard has a replica less from then on.
        takeover: Option<Duration> = "none: it waits for its region"
            from "Amazon Aurora and RDS user guides (somebody has to order it: failover of a global database, promotion of a \
            read replica in another region; both take minutes)", positive;
        /// Time until a write arrives at a replica.
        lag: Dist = "\"20ms\"" from "assumed: asynchronous streaming within a region";
        /// CPU time that a replica spends on replaying a write, as a share of the write's, in a
        /// single process.
        replay: Ratio = "\"30%\"" from "assumed: replay applies changes without planning them";
        /// How long replay waits for queries on a replica that it conflicts with, from the arrival of
        /// what is to be replayed; then they are cancelled.
        standby_delay: Duration = "\"30s\""
            from "PostgreSQL 15 postgresql.conf.sample (max_standby_streaming_delay)";
        /// Whether replicas tell the primary what their queries still see, so that nothing conflicts.
        standby_feedback: bool = "false"
            from "PostgreSQL 15 postgresql.conf.sample (hot_standby_feedback off)";
        /// Independent primaries over which the data is spread.
        shards: u32 = "1" from "assumed: one", positive;
        /// What decides on the shard.
        shard_by: ShardBy = "\"user\"" from "assumed: a user's data lie together";
        /// A change of the number of shards while they serve.
        reshard: Option<Reshard> = "none" from "assumed: data stay where they are";
        /// Price of one primary.
        price: Option<Price>;
        /// Price of one replica.
        replica_price: Option<Price>;
    }
}
spec! {
    /// A database product.
    choice DatabaseDriver {
        /// PostgreSQL: one process per connection; refuses connections above its maximum.
        Postgres = "postgres";
    }
}
spec! {
    /// What decides on the shard.
    choice ShardBy {
        /// The user.
        User = "user";
        /// The key that the operation works on, all shards alike.
        Key = "key";
        /// A key of this set, drawn by its popularity: popular keys make hot shards.
        Keys(Ref<Keys>) = "keys";
    }
}
spec! {
    /// A change of the number of shards while they serve: what moves is copied first; then statements
    /// for it are held back for a moment, and go to its new shard from then on. With consistent hashing
    /// each of n shards that become m > n keeps n/m of its keys, and when they become fewer only those
    /// that are given up lose theirs.
    table Reshard {
        /// Shards afterwards.
        to: u32, positive;
        /// When copying begins, from the start of the measured time.
        at: Duration = "\"0s\"" from "assumed: from the start";
        /// How long copying takes.
        copy: Duration, positive;
        /// Cores of each primary, of those that are new too, that copying keeps busy.
        load: f64 = "1" from "assumed: one process that reads or writes at each server", positive;
        /// Which keys move.
        rule: ReshardRule = "\"consistent\"" from "assumed: as few keys move as can";
        /// How long statements for keys that move are held back at the end.
        pause: Duration = "\"5s\""
            from "assumed: seconds (Vitess docs: VTGate buffers for 10s at most while traffic is switched)";
    }
}
spec! {
    /// Which keys move when n shards become m.
    choice ReshardRule {
        /// As few as can: consistent hashing, and ranges that are split.
        Consistent = "consistent";
        /// Shards are the hash modulo their number, so that a key stays only where both numbers leave
        /// the same remainder: from 16 to 100 shards 4 % stay, from 4 to 5 a fifth.
        Modulo = "modulo";
    }
}
spec! {
    /// How a crowd slows itself down: with m - 1 statements more than cores, all of them together
    /// do 1 / (1 + sigma (m - 1) + kappa m (m - 1) + caches) of the work that the cores could do (the
    /// universal scalability law of Gunther, from the first statement on that must share a core).
    table Contention {
        /// Share of the work that cannot be done side by side.
        sigma: f64 = "0.0" from "assumed: no contention beyond shared cores. PostgreSQL 15 on two cores takes 1.19 times \
            the CPU for a read of 0.75 ms with 32 clients, 1.38 with 100, 1.58 with 300, 1.75 with 600 (measured: \
            pgbench, CPU time of its processes): a sigma of 0.00042 with `caches` of 55 % and 63, or alone one of \
            0.006, 0.004, 0.002, 0.001";
        /// Cost of keeping each pair of statements coherent.
        kappa: f64 = "0.0" from "assumed: no contention beyond shared cores";
        /// What a crowd costs by filling the cores' caches: most (m - 1) / (m - 1 + half). Unlike the other two it
        /// levels off.
        caches: Option<ColdCaches> = "they cost nothing" from "assumed: no contention beyond shared cores";
    }
}
spec! {
    /// What it costs that others have filled the cores' caches before a statement comes back to one.
    table ColdCaches {
        /// Further CPU time when nothing of its own is left there, as a share of a statement's.
        most: Ratio = "\"55%\"" from "PostgreSQL 15 on two cores (measured, see `sigma`)", positive;
        /// With so many statements more than cores half of it is paid.
        half: f64 = "63.0" from "PostgreSQL 15 on two cores (measured, see `sigma`)", positive;
    }
}
spec! {
    /// A network volume: a statement's wait for storage is that many operations, one after another.
    table Storage {
        /// Operations that it grants a second.
        iops: Option<Rate> = "3_000/s; of an RDS `plan` with a `price.size` of 400 GiB or more 12_000/s; of a Supabase `plan` what its compute size grants, if that is less"
            from "AWS EBS user guide (gp3 baseline); Amazon RDS user guide (gp3 storage: four volumes from 400 GiB on); supabase.com docs (Interpreting Grafana IO charts, 2026-02: baseline)", positive;
        /// Data that it moves a second: with large operations this is reached before `iops`.
        throughput: Option<Bandwidth> = "125MiB/s; of an RDS `plan` with 400 GiB or more 500MiB/s; of a Supabase `plan` what its compute size grants, if that is less"
            from "AWS EBS user guide (gp3 baseline); Amazon RDS and supabase.com docs (the same pages)", positive;
        /// What one operation moves. Scans of whole tables, backups and builds of indexes move more.
        block: Bytes = "\"8KiB\"" from "PostgreSQL 15 (block_size; a random read is a page)", positive;
        /// Time of one operation when nobody else asks.
        operation: Duration = "\"1ms\"" from "assumed: single-digit milliseconds, as AWS says",
            positive;
        /// What it costs.
        price: Option<VolumePrice>;
        /// A faster rate while credits last.
        burst: Option<StorageBurst> = "none" from "AWS EBS user guide (gp3 has none)";
    }
}
spec! {
    /// Pages that each server keeps in memory. Each page that a statement looks at is there with the hit ratio
    /// of the pages that are (Che's approximation for their popularity), else it is one operation of `storage`,
    /// and is kept from then on. A server that starts, or takes over, begins with none of them.
    table Buffer {
        /// Memory for pages: shared_buffers, and what is left to the page cache of the operating system.
        memory: Option<Bytes> = "what the database's `memory` leaves: less with each connection"
            from "Linux (the page cache is all memory that nobody else needs)", positive;
        /// Data that statements fall on, with their indexes; each shard has its part.
        data: Option<Bytes> = "what its tables with a `count` or `rows` have, as they grow"
            from "assumed: statements fall on all of its tables", positive;
        /// By whose popularity they are looked at.
        keys: Option<Ref<Keys>> = "all pages alike" from "assumed: the worst case";
    }
}
spec! {
    /// The memory of a database server: who takes of it, and what happens when nothing is left. Each connection is
    /// a process with memory of its own, each sort or hash of a statement takes more while the statement runs, and
    /// the rest keeps pages of data (see `buffer`), as does `shared_buffers`.
    table ServerMemory {
        /// What the machine or container has.
        machine: Bytes, positive;
        /// Pages that the server keeps by itself.
        shared_buffers: Bytes = "\"128MiB\"" from "PostgreSQL 15 postgresql.conf.sample (shared_buffers 128MB; RDS sets \
            a quarter of the memory)";
        /// What the operating system takes, and those processes of the server that serve nobody.
        system: Bytes = "\"300MiB\"" from "assumed";
        /// What the process of a connection takes by itself: catalogs that it has read, plans, buffers, page tables.
        per_connection: Bytes = "\"2.5MB\"" from "PostgreSQL 15: 1.3 to 1.9 MB of private memory on average, 2.5 MB at most, and \
            0.2 to 0.3 MB of page tables (measured: /proc/PID/smaps_rollup of pgbench's sessions); who has seen hundreds \
            of tables, or all of a large `shared_buffers` (2 MB of page tables for each GB), has several times as much";
        /// The most that a sort or hash of a statement takes; the rest of it goes to files. Queries say how many
        /// `sorts` they have.
        work_mem: Bytes = "\"4MiB\"" from "PostgreSQL 15 postgresql.conf.sample (work_mem 4MB; a hash may have \
            twice as much, hash_mem_multiplier 2.0)", positive;
        /// What happens when there is none left.
        full: NoMemory = "\"kill\"" from "Linux (vm.overcommit_memory 0)";
        /// How long the server is away when one of its processes was killed: from the end of all its processes to
        /// the first connection that it accepts.
        recovery: Dist = "\"6s\"" from "PostgreSQL 15: 3.5, 6.3 and 7.1 s with 60 to 160 MB of log since the last checkpoint (measured: \
            kill -9 of a process under pgbench, two cores of a cloud server); 4 s of that to fsync all files, the rest \
            to replay the log and to checkpoint";
    }
}
spec! {
    /// What happens when a database server has no memory left.
    choice NoMemory {
        /// The kernel kills a process. Whichever it is, the server ends all others, since what they share may be
        /// broken, and replays its log as after a crash: every connection is lost, new ones are refused meanwhile,
        /// and `shared_buffers` is empty (PostgreSQL docs, 19.4.4 Linux Memory Overcommit; restart_after_crash on).
        Kill = "kill";
        /// The kernel grants no more than there is (vm.overcommit_memory 2, as PostgreSQL advises): the statement
        /// fails, or the connection is refused, and nobody else notices.
        Fail = "fail";
    }
}
spec! {
    /// A faster rate of a volume while credits last, as of gp2.
    table StorageBurst {
        /// Operations a second meanwhile.
        iops: Rate = "\"3_000/s\"" from "AWS EBS user guide (gp2)", positive;
        /// The most credits that it keeps, each worth one operation.
        credits: f64 = "5_400_000" from "AWS EBS user guide (gp2 I/O credits)", positive;
        /// Share of them that it starts with.
        start: Ratio = "\"100%\"" from "AWS EBS user guide (a gp2 volume starts full)";
    }
}
spec! {
    /// CPU credits: earned at the baseline all the time, spent while computing.
    table CpuCredits {
        /// Share of its cores that a server may use for ever.
        baseline: Ratio = "\"20%\"" from "EC2 user guide (t3.medium, t3.small: 20 % of each of 2)",
            positive;
        /// How long it takes to earn the most that is kept.
        keeps: Duration = "\"1day\"" from "EC2 user guide (T3: the earnings of 24 hours)", positive;
        /// Share of that which it starts with.
        start: Ratio = "\"100%\"" from "assumed: a quiet day before";
        /// Whether it goes on at full speed when all are spent, for money.
        unlimited: bool = "true" from "RDS user guide (T3 and T4g run in unlimited mode)";
        /// Price of an hour of a core above what was earned.
        core_hour: Money = "\"$0.075\"" from "RDS pricing (CPU credits, T3 and T4g, per vCPU-hour)";
    }
}
spec! {
    /// Synchronous copies: a commit waits until so many of them have it.
    table Standby {
        /// How many copies there are.
        count: u32 = "1" from "RDS user guide (Multi-AZ instance: one standby)", positive;
        /// How many must have it.
        quorum: u32 = "1" from "PostgreSQL 15 (synchronous_standby_names, ANY 1)", positive;
        /// Time until a copy has it and says so.
        rtt: Dist = "\"1ms\"" from "assumed: another zone of the region, flush included";
    }
}

impl Database {
    /// Operations and data that the volume of each server grants a second.
    pub fn volume_grants(&self) -> Option<(Rate, Bandwidth)> {
        let storage = self.storage.as_ref()?;
        let (iops, bits) =
            self.plan.as_ref().and_then(Plan::volume).unwrap_or((f64::INFINITY, f64::INFINITY));
        let volumes = self.volumes();
        let iops = storage.iops.unwrap_or(Rate(iops.min(3_000.0 * volumes)));
        let usual_bits = 125.0 * 1_048_576.0 * 8.0 * volumes;
        Some((iops, storage.throughput.unwrap_or(Bandwidth(bits.min(usual_bits)))))
    }
    /// Operations a second of a volume that its price includes.
    pub fn included(&self, price: &VolumePrice) -> Rate {
        price.included.unwrap_or(Rate(3_000.0 * self.volumes()))
    }
    /// Volumes that a server's data lie on: RDS makes a large one of four.
    fn volumes(&self) -> f64 {
        let price = self.storage.as_ref().and_then(|storage| storage.price.as_ref());
        let large = price.is_some_and(|price| price.size.0 >= 400.0 * 1_073_741_824.0);
        if large && matches!(self.plan, Some(Plan::Rds(_))) { 4.0 } else { 1.0 }
    }
    /// Connections that each server accepts, those kept back included.
    pub fn accepts(&self) -> u32 {
        self.max_connections.or(self.plan.as_ref().map(Plan::connections)).unwrap_or(100)
    }
    /// Connections kept back for administrators.
    pub fn keeps_back(&self) -> u32 {
        self.reserved.or(self.plan.as_ref().map(Plan::reserved)).unwrap_or(3)
    }
    /// Shards that there are at one time or another.
    pub fn most_shards(&self) -> u32 {
        self.reshard.as_ref().map_or(self.shards, |reshard| self.shards.max(reshard.to))
    }
    /// Connections that are left for everybody else.
    pub fn available(&self) -> u32 {
        self.accepts().saturating_sub(self.keeps_back())
    }
}
