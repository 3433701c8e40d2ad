//! `/networks`: the three that are always there.

use std::sync::Arc;

use http::StatusCode;
use hull_api::network::{BridgeView, NetworkQuery, NetworkView, inspect, summary};
use hull_engine::{BRIDGE, Defaults, Guest};
use hull_model::record::GuestRecord;

use super::table::Network;
use super::{Answer, App, Call};
use crate::http::answer::{Failure, json};

/// Carries out a request on networks.
pub(super) fn answer(app: &App, route: &Network, call: &Call) -> Answer {
    let defaults = app.engine().networks();
    let records: Vec<_> = app.engine().guests().iter().map(Guest::record).collect();
    let all = views(&defaults, &records);
    match route {
        Network::List => {
            let query = NetworkQuery::parse(&call.query)?;
            let wanted = all.iter().filter(|view| query.accepts(view));
            Ok(json(&wanted.map(|view| summary(view, call.version)).collect::<Vec<_>>()))
        }
        Network::Inspect(name) => {
            let by_name = all.iter().find(|view| view.name == *name || view.id == *name);
            let by_prefix = || all.iter().find(|view| view.id.starts_with(name.as_str()));
            let found = by_name.or_else(by_prefix).ok_or_else(|| {
                let short: String = name.chars().take(255).collect();
                Failure::new(StatusCode::NOT_FOUND, format!("network {short} not found"))
            })?;
            Ok(json(&inspect(found, call.version)))
        }
    }
}

/// `bridge`, `host` and `none`, with the guests on the first.
fn views<'a>(defaults: &'a Defaults, records: &'a [Arc<GuestRecord>]) -> Vec<NetworkView<'a>> {
    let on = |network: &str| {
        let alive = records.iter().filter(|record| record.state.is_alive());
        let places = alive.filter_map(|record| {
            let endpoint = record.endpoint.as_ref()?;
            Some((record.id, record.name.as_str(), endpoint))
        });
        places.filter(|(_, _, endpoint)| endpoint.network == network).collect()
    };
    let bridge = defaults.bridge.as_ref().map(|net| BridgeView {
        link: &net.name,
        subnet: net.subnet.to_string(),
        gateway: net.gateway.to_string(),
        mtu: net.mtu,
    });
    let [bridge_id, host_id, none_id] = &defaults.ids;
    let view = |name, id, bridge| NetworkView {
        name,
        id,
        created: defaults.created,
        bridge,
        members: on(name),
    };
    vec![view(BRIDGE, bridge_id, bridge), view("host", host_id, None), view("none", none_id, None)]
}
