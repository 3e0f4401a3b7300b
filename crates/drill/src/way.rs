//! All ways, one after the other, on servers that are started once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use futures_util::future::join_all;

use crate::Unavailable;
use crate::containers::Run;
use crate::image::Images;
use crate::matrix::{Cell, Matrix};
use crate::plan::{Version, Way};
use crate::programs::Programs;
use crate::server::Server;
use crate::steps::Backup;

/// One core does this in less than a second.
const HUB_SCALE: f64 = 0.1;
const SAMPLES: [&str; 2] = ["hub", "zoo"];

type Servers = BTreeMap<Version, Result<Server, String>>;

/// Goes all ways. Fails with [`Unavailable`] where not one could be tried.
pub(crate) async fn run_all(
    run: &Run,
    images: &Images,
    programs: &Programs,
    ways: &[Way],
) -> anyhow::Result<Matrix> {
    let begin = Instant::now();
    let (sources, targets) = start(run, images, ways).await;
    let mut matrix = Matrix::default();
    for from in ways.iter().map(|way| way.from).collect::<BTreeSet<_>>() {
        let ways = ways.iter().filter(|way| way.from == from);
        match &sources[&from] {
            Ok(source) => {
                matrix.add_server(source);
                let backups = back_up(programs, source).await;
                for way in ways {
                    go(programs, *way, &backups, &targets[&way.to], &mut matrix).await;
                }
            }
            Err(reason) => ways.for_each(|way| matrix.add_untried(*way, reason)),
        }
    }
    if matrix.is_empty() {
        let reasons = matrix.reasons();
        return Err(Unavailable(reasons).into());
    }
    matrix.seconds = begin.elapsed().as_secs_f64();
    Ok(matrix)
}

/// Sources and targets are servers of their own, also where they are of one version.
async fn start(run: &Run, images: &Images, ways: &[Way]) -> (Servers, Servers) {
    let all = |versions: BTreeSet<Version>, role: &'static str| async move {
        join_all(versions.into_iter().map(|version| async move {
            let started = Server::start(run, images, version, role).await;
            (version, started.map_err(|error| format!("{error:#}")))
        }))
        .await
        .into_iter()
        .collect::<Servers>()
    };
    tokio::join!(
        all(ways.iter().map(|way| way.from).collect(), "source"),
        all(ways.iter().map(|way| way.to).collect(), "target"),
    )
}

/// Loads the samples and takes a backup of each; where that fails, the reason.
async fn back_up<'a>(
    programs: &Programs,
    source: &'a Server,
) -> Vec<(&'static str, anyhow::Result<Backup<'a>>)> {
    let mut backups = Vec::new();
    for sample in SAMPLES {
        let backup = match load(source, sample).await {
            Ok(()) => Backup::take(programs, source, sample).await,
            Err(error) => Err(error),
        };
        backups.push((sample, backup));
    }
    backups
}

async fn load(source: &Server, sample: &str) -> anyhow::Result<()> {
    let client = source.connect("postgres").await?;
    client.batch_execute(&format!("CREATE DATABASE {sample} TEMPLATE template0")).await?;
    let client = source.connect(sample).await?;
    match sample {
        "hub" => testkit::load_hub(&client, HUB_SCALE).await?,
        _ => testkit::load_zoo(&client).await?,
    }
    Ok(())
}

async fn go(
    programs: &Programs,
    way: Way,
    backups: &[(&'static str, anyhow::Result<Backup<'_>>)],
    target: &Result<Server, String>,
    matrix: &mut Matrix,
) {
    let target = match target {
        Ok(target) => target,
        Err(reason) => return matrix.add_untried(way, reason),
    };
    matrix.add_server(target);
    for (sample, backup) in backups {
        let cell = match backup {
            Ok(backup) => {
                let steps = match prepare(target).await {
                    Ok(()) => backup.try_on(programs, target).await,
                    Err(error) => {
                        matrix.add_untried(way, &format!("{error:#}"));
                        continue;
                    }
                };
                Cell::new(way, sample, backup.seconds, steps)
            }
            Err(error) => Cell::without_backup(way, sample, error),
        };
        eprintln!("{}", cell.line());
        matrix.add(cell);
    }
}

/// Roles belong to the server, and a backup of a database names them only.
async fn prepare(target: &Server) -> anyhow::Result<()> {
    let client = target.connect("postgres").await?;
    Ok(client.batch_execute(testkit::ZOO_ROLES).await?)
}
