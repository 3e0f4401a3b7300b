//! temporary
use pgsnap::*;
use std::sync::Arc;
use std::time::Instant;
struct P;
impl Progress for P {
    fn begin(&self, p: Phase, _: Work) {
        eprintln!("{:?} {}", Instant::now(), p.title());
    }
}
#[tokio::main]
async fn main() {
    let a: Vec<String> = std::env::args().collect();
    let p: Arc<dyn Progress> = Arc::new(NoProgress);
    let db = Database::from_url(&a[2]).unwrap();
    let t = Instant::now();
    match a[1].as_str() {
        "dump" => {
            let mut o = DumpOptions::default();
            o.level = a[4].parse().unwrap();
            o.jobs = a[5].parse().unwrap();
            if let Some(b) = a.get(6) {
                o.block_size = b.parse::<usize>().unwrap() << 10;
            }
            let (_, m) = dump(&db, std::fs::File::create(&a[3]).unwrap(), &o, &p)
                .await
                .unwrap();
            eprintln!(
                "{:.2}s rows {} bytes {} file {}",
                t.elapsed().as_secs_f64(),
                m.census.rows(),
                m.census.bytes(),
                std::fs::metadata(&a[3]).unwrap().len()
            );
        }
        "restore" => {
            let ar = Archive::open(std::path::PathBuf::from(&a[3])).unwrap();
            let mut o = RestoreOptions::default();
            o.jobs = a[4].parse().unwrap();
            let r = restore(&ar, &db, &o, &p).await.unwrap();
            eprintln!("{:.2}s {:?}", t.elapsed().as_secs_f64(), r.seconds);
        }
        "verify" => {
            let ar = Archive::open(std::path::PathBuf::from(&a[3])).unwrap();
            verify(&ar, &VerifyOptions::default(), &p).unwrap();
            eprintln!("{:.2}s", t.elapsed().as_secs_f64());
        }
        "census" => {
            let mut o = CensusOptions::default();
            o.schema = false;
            let c = census(&db, &o, &p).await.unwrap();
            eprintln!("{:.2}s {}", t.elapsed().as_secs_f64(), c.rows());
        }
        _ => panic!(),
    }
}
