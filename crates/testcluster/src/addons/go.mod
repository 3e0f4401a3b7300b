module hubctl.test/cluster/addons

go 1.26

require (
	github.com/coredns/coredns v1.14.1
	k8s.io/api v0.34.4
	k8s.io/apimachinery v0.34.4
	k8s.io/client-go v0.34.4
	sigs.k8s.io/sig-storage-lib-external-provisioner/v13 v13.0.0
)
