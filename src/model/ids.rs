//! Numbers of the things in a model. Names exist only in the topology and in reports.

crate::id! {
    /// A region.
    RegionId,
    /// A shared-bandwidth link.
    LinkId,
    /// A machine that several components share.
    HostId,
    /// A service: a group of instances.
    ServiceId,
    /// A kind of connection pool: one per worker process and database node.
    PoolId,
    /// A pooler between services and a database.
    PoolerId,
    /// A database with its replicas and shards.
    DatabaseId,
    /// A cache with its nodes.
    CacheId,
    /// A set of keys.
    KeysId,
    /// A content delivery network.
    CdnId,
    /// A session store.
    SessionId,
    /// An object store.
    StoreId,
    /// WebSockets of a service.
    SocketId,
    /// A guard.
    GuardId,
    /// A rate limiter.
    LimitId,
    /// A bulkhead.
    BulkheadId,
    /// A circuit breaker.
    BreakerId,
    /// A table or view whose locks matter.
    RelationId,
    /// A fault.
    FaultId,
    /// A deploy.
    DeployId,
    /// A job queue.
    QueueId,
    /// A kind of job.
    JobId,
    /// A stream or channel of messages.
    StreamId,
    /// A group that consumes one.
    ConsumerId,
    /// An operation that users do.
    OperationId,
    /// A distribution.
    LawId,
    /// A component as measurements know it.
    StationId,
}

/// No time at all: law 0.
pub const NO_TIME: LawId = LawId(0);
