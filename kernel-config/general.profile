# Several vCPUs, and what container images expect to find.
summary up to 64 vCPUs: what container images expect
vcpus-max 64
objects 1091
append quiet noreplace-smp dummy.numdummies=0
fragments base balloon cpu clock kvm pvh console pty virtio block net net-inet ipv6 procfs tmpfs erofs overlay
fragments fuse virtiofs 9p events aio threads seccomp smp vsyscall sysvipc mqueue io_uring fanotify keys
fragments namespaces cgroup bpf debug-calls net-diag net-routing netfilter nftables net-virtual
fragments hugepage binfmt-misc
