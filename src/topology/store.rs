//! Object storage.

use super::dist::Dist;
use super::names::Ref;
use super::price::StorePrice;
use super::region::Region;
use super::spec::spec;
use crate::units::{Bandwidth, Bytes, Duration, Rate};

spec! {
    /// Object storage, as Amazon S3: it takes any number of objects, and so many requests a second of
    /// each prefix.
    component Store {
        /// Where it stands; a service in another region asks over the route between them.
        region: Option<Ref<Region>> = "the only region" from "Amazon S3 (a bucket has one region)";
        /// PUT, COPY, POST and DELETE requests of one prefix; more are answered 503 Slow Down.
        put_rate: Rate = "\"3_500/s\"" from "Amazon S3 performance guidelines (per partitioned prefix)", positive;
        /// GET and HEAD requests of one prefix.
        get_rate: Rate = "\"5_500/s\"" from "Amazon S3 performance guidelines (per partitioned prefix)", positive;
        /// Prefixes over which objects are spread, all alike.
        prefixes: u32 = "1" from "assumed: all objects share one prefix", positive;
        /// A prefix that has had to slow clients down for so long is split, and takes twice as much.
        split_after: Option<Duration> = "not within a run"
            from "Amazon S3 performance guidelines (it scales gradually; no time is promised)", positive;
        /// Time to the answer of a PUT, its transfer aside.
        put: Dist = "\"150ms\"" from "Amazon S3 performance guidelines (small objects: 100 to 200 ms)";
        /// Time to the first byte of a GET.
        get: Dist = "\"150ms\"" from "Amazon S3 performance guidelines (small objects: 100 to 200 ms)";
        /// What one request carries.
        bandwidth: Bandwidth = "\"680Mbit/s\""
            from "Amazon S3 performance design patterns (85 to 90 MB/s per concurrent request)", positive;
        /// What all requests together carry, each an equal share: a NAT gateway's, or a host's uplink.
        shared: Option<Bandwidth> = "as much as they ask for" from "Amazon S3 (it scales with what is asked)", positive;
        /// Attempts at a request, the first included; between those that were slowed down, the client
        /// waits for a random part of 0.5 s x 2^n, 20 s at most.
        attempts: u32 = "3" from "@smithy/core 3.41.0 (standard retry mode: 3 attempts, throttling base 500 ms)", positive;
        /// Looking up its name before a service opens a connection to it, of which each process keeps those
        /// that it has opened; on Node.js a thread of libuv's pool waits for it, as at `call.lookup`.
        lookup: Option<Dist> = "its connections stay open, or its address is known"
            from "assumed: a resolver on the machine; Node.js 20 net.connect (dns.lookup is getaddrinfo on libuv's pool)";
        /// With `lookup`: how long a connection may be idle before it is closed.
        keep_alive: Duration = "\"60s\""
            from "assumed: Amazon S3 states no time; AWS SDK for Java 2 closes them after that (connectionMaxIdleTime 60 s)";
        /// What it keeps besides what is put there in the run; for its price alone.
        stored: Bytes = "\"0B\"" from "assumed: only what is put there is counted";
        /// How long it keeps an object; for its price alone.
        expires_after: Option<Duration> = "for ever"
            from "Amazon S3 user guide (a lifecycle rule with Expiration; there is none by default)", positive;
        /// How long it keeps the parts of an upload that was begun and never completed.
        abort_incomplete: Option<Duration> = "for ever"
            from "Amazon S3 user guide (a lifecycle rule with AbortIncompleteMultipartUpload; there is none by default)", positive;
        /// What it costs.
        price: Option<StorePrice>;
    }
}
spec! {
    /// A request of an object store.
    table StoreUse {
        /// The store.
        store "in": Ref<Store>;
        /// Size of the object.
        bytes: Dist<Bytes>;
        /// Parts that it is cut into, all of which go side by side; more than one are a multipart
        /// upload, with a request before and one after them, or ranged reads. A part that fails is tried
        /// again by itself.
        parts: u32 = "1" from "@aws-sdk/lib-storage 3 (below 5 MB an object has one part)", positive;
        /// Size of a part, in place of their number: `"5MiB"`, as lib-storage cuts objects.
        part_size: Option<Bytes> = "it is cut into `parts`"
            from "@aws-sdk/lib-storage 3.1175.0 (partSize 5 MiB, where Upload is used)", positive;
        /// Parts of a `part_size` that go side by side.
        at_once: u32 = "4" from "@aws-sdk/lib-storage 3.1175.0 (queueSize)", positive;
        /// How long a presigned URL is good, with which the user sends or gets it directly, from the time at
        /// which the request was sent that it belongs to; a request that begins later is answered 403. Who gives
        /// up leaves the parts that are there.
        expires: Option<Duration> = "the service sends it, with keys of its own"
            from "assumed; @aws-sdk/s3-request-presigner 3 (expiresIn 900 s), Amazon S3 user guide (checked when \
            a request begins)", positive;
        /// Whether the parts of an upload that has failed are left; with `expires` they always are.
        leave_parts: bool = "false" from "@aws-sdk/lib-storage 3.1175.0 (leavePartsOnError)";
        /// What the line carries over which it goes, if that is less than what the store does: with a
        /// presigned URL the user's own.
        line: Option<Bandwidth> = "as much as the store does" from "assumed: within one region", positive;
    }
}
