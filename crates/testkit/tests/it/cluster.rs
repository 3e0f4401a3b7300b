//! A cluster for tests can be broken, and is whole again afterwards. These run where
//! `cargo xtask test` has one.

use testkit::cluster::{Alone, Handle};

#[test]
fn each_namespace_has_a_name_of_its_own() {
    let Some(cluster) = Handle::find() else {
        return;
    };
    assert!(cluster.kubeconfig().is_file());
    let [first, second] = [cluster.namespace("x"), cluster.namespace("x")];
    assert_ne!(first, second);
    assert!(first.starts_with("x-") && first.len() < 63, "{first}");
}

#[test]
fn what_was_stopped_runs_again_in_the_end() {
    let Some(cluster) = Alone::find() else {
        return;
    };
    let directory = std::env::var("HUBCTL_TEST_CLUSTER").unwrap();
    let state =
        |daemon: &str| fs_err::read_to_string(format!("{directory}/daemons/{daemon}")).unwrap();

    let before = state("kube-apiserver");
    cluster.kill_api_server().unwrap();
    assert_ne!(state("kube-apiserver"), before);

    assert!(cluster.stop_node(1).is_err(), "the API server runs there");
    assert!(cluster.stop("no-such-daemon").is_err());
    cluster.stop("kubelet-1").unwrap();
    assert_eq!(state("kubelet-1"), "held\n");
    if cluster.nodes() > 1 {
        cluster.stop_node(2).unwrap();
        assert_eq!(state("node-2"), "held\n");
        cluster.start_node(2).unwrap();
    }
    drop(cluster);
    assert!(state("kubelet-1").starts_with("running"));
}
