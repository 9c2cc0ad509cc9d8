//! Session stores.

use super::relations::query_law;
use super::{Compiler, find, named, own_pool};
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::model::{Prune, Session};
use crate::topology;
use crate::topology::Named;

impl Compiler<'_> {
    /// The pool that a session store uses in a service: the application's, or its own.
    pub(super) fn session_pool(&self, session: SessionId, service: usize) -> PoolId {
        let spec = &self.topology.sessions[session.0 as usize].spec;
        if own_pool(spec).is_some() {
            let wanted = (session.0 as usize, service);
            let own = self.own_pools.iter().position(|own| *own == wanted);
            let own = own.expect("every service with the store before it has its pool");
            return PoolId((self.topology.pools.len() + own) as u32);
        }
        let topology::SessionStore::Postgres(store) = &spec.store else {
            unreachable!("only a table has a pool")
        };
        let pool = store.pool.as_ref().expect("checked: a pool, or one of its own");
        find(&self.topology.pools, &pool.name)
    }

    pub(super) fn sessions(&self) -> Dense<SessionId, Session> {
        let topology = self.topology;
        let one = |session: &Named<topology::Session>| {
            let spec = &session.spec;
            let (growth, prune) = match &spec.store {
                topology::SessionStore::Postgres(store) => {
                    let growth = store.growth.as_ref().map(query_law);
                    (growth, Some(self.prune(store)))
                }
                _ => (None, None),
            };
            Session {
                name: session.name.clone(),
                station: self.station(&format!("session.{}", session.name)),
                ttl: spec.cookie.unwrap_or(spec.ttl),
                resave: spec.resave,
                touch: spec.touch,
                cookie: spec.cookie,
                rolling: spec.rolling,
                // session/memory.js, `getSession`: `expires && expires <= Date.now()`
                ageless: spec.cookie.is_none()
                    && matches!(spec.store, topology::SessionStore::Memory(_)),
                in_memory: matches!(spec.store, topology::SessionStore::Memory(_)),
                size_bytes: spec.size.0 as u32,
                guests: spec.guests.0,
                save_uninitialized: spec.save_uninitialized,
                cache: match &spec.store {
                    topology::SessionStore::Redis(store) => {
                        Some(find(&topology.caches, &store.cache.name))
                    }
                    _ => None,
                },
                growth,
                prune,
                warm: 0,
                holders: None,
                reach: 1.0,
            }
        };
        topology.sessions.iter().map(one).collect()
    }

    fn prune(&self, store: &topology::PostgresSessions) -> Prune {
        let database = match (&store.own, &store.pool) {
            (Some(own), _) => &own.database.name,
            (None, pool) => {
                let pool = pool.as_ref().expect("checked: a pool, or one of its own");
                &named(&self.topology.pools, &pool.name).spec.database.name
            }
        };
        Prune {
            interval: store.prune,
            row: store.prune_row,
            database: find(&self.topology.databases, database),
        }
    }
}
