//! Operations, called by a program instead of a command line.

mod backups;
mod databases;

use std::sync::Mutex;

use hubctl::ops::{Console, Event, Report};
use hubctl::settings::{Overrides, Settings};

use crate::support::Home;

/// Keeps what is reported, and shows it to nobody.
#[derive(Default)]
struct Heard(Mutex<Vec<Event>>);

impl Console for Heard {
    fn tell(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Heard {
    fn facts(&self) -> Vec<String> {
        self.chosen(|event| match event {
            Event::Fact(text) => Some(text.clone()),
            _ => None,
        })
    }

    fn warnings(&self) -> Vec<String> {
        self.chosen(|event| match event {
            Event::Warning(text) => Some(text.clone()),
            _ => None,
        })
    }

    fn chosen(&self, choose: impl Fn(&Event) -> Option<String>) -> Vec<String> {
        self.0.lock().unwrap().iter().filter_map(choose).collect()
    }
}

fn settings(home: &Home) -> Settings {
    Settings::load(Some(&home.path("hubctl.toml")), Overrides::default()).unwrap()
}

/// The members of a report as JSON has them.
fn json<R: Report>(report: &R) -> serde_json::Value {
    serde_json::to_value(report).unwrap()
}
