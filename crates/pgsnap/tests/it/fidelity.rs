//! Nothing that `pg_dump` keeps is lost. `docs/fidelity.md` says which test stands for what.

mod database;
mod defaults;
mod encoding;
mod extension;
mod foreign_data;
mod golden;
mod objects;
mod partition;
mod psql;
mod reprinted;
mod scale;
mod script;
mod zoo;
