//! Connections that are got by the first statement, and given back after the reply.

use loadbearing::failure::Failure;

use crate::support::{ms, run};

#[test]
fn a_dependency_with_yield_keeps_its_connection_until_after_the_reply() {
    let text = "[arrivals]\nprocess = 'even'\nrate = '1_000/s'\nusers = 9\n\
                stages = [{ for = '3500us', to = '1_000/s' }, { for = '0s', to = '0/s' }]\n\
                [service.web]\nruntime = 'uvicorn'\nthreads = 2\n\
                [pool.pg]\nservice = 'web'\ndatabase = 'db'\nsize = 1\nacquire_timeout = '5s'\n\
                [database.db]\ncores = 8\nrtt = '0ms'\nconnect = '0ms'\n[operation.work]\nshare = 1\n";
    let ran = |flow: &str, sets: &[&str]| {
        let text = format!("{text}flow = {flow}\n");
        run(&text, &[&["run.duration='20s'"], sets].concat())
    };
    let two = "arrivals.stages=[{for='2500us', to='1_000/s'}, {for='0s', to='0/s'}]";
    let first = "{ blocking = [{ query = { pool = 'pg', read = '10ms' } }] }";
    let held = |rest: &str| {
        format!(
            "[{{ transaction = {{ pool = 'pg', bare = true, lazy = true, flow = [{rest}] }} }}]"
        )
    };
    // Two requests, a millisecond apart. The connection is free after 10 ms, or when the first has computed its
    // answer for 4 ms, six times, in turns with nobody; then the second has 10 ms, and as much to compute.
    let reply = "{ repeat = { times = 6, flow = [{ cpu = '4ms' }] } }, { reply = '1KB' }";
    let plain = ran(&format!("[{first}, {reply}]"), &[two]);
    assert_eq!((plain.shortest(), plain.longest()), (ms(34), ms(57)));
    let lazy = ran(&held(&format!("{first}, {reply}")), &[two]);
    assert_eq!((lazy.shortest(), lazy.longest()), (ms(34), ms(67)));
    // Got by the first statement: what stands before that holds nothing.
    let late = ran(&held(&format!("{{ wait = '30ms' }}, {first}, {{ reply = '1KB' }}")), &[two]);
    assert_eq!((late.shortest(), late.longest()), (ms(40), ms(49)));
    // A second step in a thread, as an endpoint after a dependency that has asked the database. Each computes
    // 5 ms and wants a thread at 6, 11 and 16 ms; the second asks for the connection when the third leaves it the
    // lock, at 16 ms. At 26 ms the first has its rows and leaves its thread to the third, which waits for the
    // connection like the second: the first has that, and no thread. At 5,016 ms the second gives up.
    let again = "{ blocking = [{ query = { pool = 'pg', read = '5ms' } }] }";
    let rows = "{ cpu = '5ms' }, { blocking = [{ query = { pool = 'pg', read = '20ms' } }] }";
    let both = held(&format!("{rows}, {again}, {{ reply = '1KB' }}"));
    let stuck = ran(&both, &[]);
    assert_eq!((stuck.ok(), stuck.failed(Failure::AcquireTimeout)), (2, 1));
    assert_eq!((stuck.shortest(), stuck.longest()), (ms(5_020), ms(5_043)));
    assert_eq!(stuck.each_failed(), ms(5_014));
    // With a thread more nobody waits for one, and the connection goes round.
    let free = ran(&both, &["service.web.threads=3"]);
    assert_eq!((free.ok(), free.longest() < ms(100)), (3, true));
    // What each gives back after its reply needs none of the threads.
    let one = ran(&held(&format!("{first}, {{ reply = '1KB' }}, {{ wait = '1s' }}")), &[two]);
    assert_eq!((one.shortest(), one.longest()), (ms(10), ms(1_019)));
}
