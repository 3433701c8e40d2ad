//! What a guest's task tells everybody, in Docker's words (moby `api/types/events`).

use std::collections::BTreeMap;

use hull_model::event::Subject;
use hull_model::namespace::Network;

use super::task::Task;

impl Task {
    /// Tells everybody that `action` happened to this guest.
    pub(super) fn publish(&self, action: impl Into<String>, extra: &[(&str, String)]) {
        self.engine.publish(&self.record, action, extra);
    }

    /// Tells that the guest runs, and what it uses now.
    pub(super) fn publish_start(&self) {
        self.publish_network("connect");
        for mount in &self.record.mounts {
            let Some(volume) = &mount.volume else { continue };
            let extra = [
                ("destination", mount.target.as_str().to_owned()),
                ("propagation", String::new()),
                ("read/write", (!mount.read_only).to_string()),
            ];
            self.publish_volume("mount", volume.to_string(), &extra);
        }
        self.publish("start", &[]);
    }

    /// Tells that the guest ended, and what it does not use any more.
    pub(super) fn publish_end(&self, code: u8) {
        self.publish("die", &[("exitCode", code.to_string())]);
        self.publish_network("disconnect");
        for volume in self.record.mounts.iter().filter_map(|mount| mount.volume.as_ref()) {
            self.publish_volume("unmount", volume.to_string(), &[]);
        }
    }

    fn publish_network(&self, action: &str) {
        let [bridge, host, none] = self.engine.networks.defaults().ids;
        let (id, name, driver) = match self.record.spec.namespaces.network {
            Network::Bridge => (bridge, "bridge", "bridge"),
            Network::Host => (host, "host", "host"),
            Network::None => (none, "none", "null"),
            Network::Guest(_) | Network::Named(_) => return,
        };
        let attributes: BTreeMap<_, _> = [
            ("container".to_owned(), self.record.id.to_string()),
            ("name".to_owned(), name.to_owned()),
            ("type".to_owned(), driver.to_owned()),
        ]
        .into();
        self.engine.events.publish(Subject::Network, action, id, attributes);
    }

    fn publish_volume(&self, action: &str, volume: String, extra: &[(&str, String)]) {
        let mut attributes: BTreeMap<_, _> =
            extra.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        attributes.insert("container".to_owned(), self.record.id.to_string());
        attributes.insert("driver".to_owned(), "local".to_owned());
        self.engine.events.publish(Subject::Volume, action, volume, attributes);
    }
}
