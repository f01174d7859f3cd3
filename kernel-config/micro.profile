# One vCPU, and what a static service needs. The default for static programs.
summary one vCPU: static programs and services
vcpus-max 1
objects 802
append quiet
fragments base balloon cpu clock kvm pvh console pty virtio block net net-inet procfs tmpfs erofs overlay 9p fuse virtiofs
fragments events aio threads seccomp small
