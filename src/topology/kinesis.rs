//! Streams of Amazon Kinesis, and who reads their shards.

use super::cache::Keys;
use super::dist::Dist;
use super::names::Ref;
use super::price::Price;
use super::service::Service;
use super::spec::spec;
use crate::units::{Bandwidth, Bytes, Duration, Money, Rate};

spec! {
    /// A stream of Amazon Kinesis. A shard takes so many records and bytes a second; what is beyond is refused
    /// (ProvisionedThroughputExceeded, counted as `rejected`), and its producer tries again. All who read
    /// without a fan-out of their own share its reads.
    table Kinesis {
        /// Shards. In the on-demand mode there are as many as AWS has come to by then, 4 at first.
        shards: u32 = "1" from "assumed: one; Amazon Kinesis Data Streams has no default", positive;
        /// What a record's shard follows from, as its partition key does.
        keys: Option<Ref<Keys>> = "none: each producer takes the shards in turn"
            from "assumed: random partition keys";
        /// Time until a producer knows that its records are kept.
        put: Dist = "\"10ms\"" from "assumed: AWS states none; three copies in as many zones";
        /// Records that a shard takes.
        records: Rate = "\"1_000/s\"" from "Amazon Kinesis Data Streams quotas (1,000 records a second per shard)", positive;
        /// Bytes that a shard takes.
        write: Bandwidth = "\"8Mbit/s\"" from "Amazon Kinesis Data Streams quotas (1 MB a second per shard)", positive;
        /// GetRecords requests of a shard, by all who share it.
        reads: Rate = "\"5/s\"" from "Amazon Kinesis Data Streams quotas (5 transactions a second per shard)", positive;
        /// Bytes that a shard gives to all who share it, and to each who has a fan-out.
        read: Bandwidth = "\"16Mbit/s\"" from "Amazon Kinesis Data Streams quotas (2 MB a second per shard)", positive;
        /// Attempts to put a record, the first included; before the n-th retry its producer waits for a random
        /// part of 1 s x 2^(n-1), 20 s at most.
        attempts: u32 = "3" from "@smithy/core 3.41.0 (standard retry mode: 3 attempts, throttlingDelay 1 s)", positive;
        /// How long a producer collects records of a shard before it puts them with one request.
        linger: Duration = "\"0s\"" from "@aws-sdk/client-kinesis 3 (PutRecord goes at once); Kinesis Producer Library 1 (RecordMaxBufferedTime 100 ms)";
        /// The most bytes that it collects.
        batch: Bytes = "\"5MiB\"" from "Amazon Kinesis Data Streams (PutRecords: 5 MiB and 500 records)", positive;
        /// Price of one shard.
        price: Option<Price>;
        /// Price of a million payload units: a record is one for each 25 KB that it has begun.
        unit_price: Option<Money> = "not counted"
            from "Amazon Kinesis Data Streams pricing (provisioned: $0.014 in us-east-1)";
    }
}
spec! {
    /// A worker of the Kinesis Client Library: it leases shards, reads each of them, and handles what it has
    /// read of one in order, one batch after another. A handler that throws has lost the rest of its batch: the library
    /// does not repeat it (counted as `lost`). Reads that the shard refuses are counted as `refused`.
    table KinesisGroup {
        /// From one read of a shard to the next, without `fan_out`.
        poll: Duration = "\"1s\"" from "Kinesis Client Library 2 (idleTimeBetweenReadsInMillis 1,000)", positive;
        /// Records of one read at most.
        records: u32 = "10_000" from "Kinesis Client Library 2 (maxRecords 10,000)", positive;
        /// Whether records are pushed to it, from its own share of each shard.
        fan_out: Option<bool> = "true, and false with a `mapping`"
            from "Kinesis Client Library 2.6.1 (RetrievalConfig: FanOutConfig unless another is set), AWS Lambda Developer Guide \
            (with-kinesis: a mapping of the stream itself is a standard iterator)";
        /// How long a record that is pushed is on its way.
        propagation: Dist = "\"70ms\"" from "Amazon Kinesis Data Streams Developer Guide (enhanced fan-out: about 70 ms)";
        /// A lease that was not renewed for so long is free. Workers look at all leases each two times this and
        /// 50 ms: what a dead worker had is taken up after two looks.
        failover: Duration = "\"10s\"" from "Kinesis Client Library 2 (failoverTimeMillis 10,000; takerIntervalMillis)", positive;
    }
}
spec! {
    /// An event source mapping of AWS Lambda: it reads each shard once a second (`kinesis.poll`) and calls a function with
    /// batches of its records, the next one when the last is over. A batch that fails is tried again, after pauses that
    /// double up to a minute, and its shard stands still meanwhile. Records that are given up are counted as `rejected`.
    /// A call that is throttled is made again, which is no retry.
    table StreamMapping (short "function") {
        /// The function.
        function: Ref<Service>;
        /// Records in a call at most; 6 MB of them, in base64, are as many as fit.
        batch_size: u32 = "100" from "AWS Lambda (services-kinesis-parameters: BatchSize)", positive;
        /// How long records are gathered for a call that is not full.
        batching_window: Duration = "\"0s\""
            from "AWS Lambda (services-kinesis-parameters: MaximumBatchingWindowInSeconds)";
        /// Batches of a shard under way at once; records of one partition key come one after another.
        parallelization_factor: u32 = "1" from "AWS Lambda (services-kinesis-parameters: ParallelizationFactor)", positive;
        /// How often a batch that has failed is tried again before its records are given up. To split a batch is no retry.
        maximum_retry_attempts: Option<u32> = "again and again"
            from "AWS Lambda (services-kinesis-parameters: MaximumRetryAttempts -1)";
        /// Records that are older are given up.
        maximum_record_age: Duration = "\"24h\""
            from "AWS Lambda (services-kinesis-parameters: MaximumRecordAgeInSeconds -1, until they expire), Amazon Kinesis Data \
            Streams (retention 24 hours)", positive;
        /// Whether a batch that has failed is split in two, each tried by itself.
        bisect_batch_on_function_error: bool = "false"
            from "AWS Lambda (services-kinesis-parameters: BisectBatchOnFunctionError)";
        /// Whether the function says which record has failed, and ends with it. What came before is done, and the rest is tried
        /// again.
        report_batch_item_failures: bool = "false"
            from "AWS Lambda (services-kinesis-parameters: FunctionResponseTypes)";
        /// Time before a call that has failed, or was throttled, is made again; it doubles up to a minute.
        retry_pause: Duration = "\"1s\"" from "assumed: AWS Lambda states no times", positive;
    }
}
