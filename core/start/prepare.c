// SPDX-License-Identifier: Apache-2.0
#include "core/start/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "core/spec/parse.h"
#include "core/limits/limits.h"
#include "package/resolve.h"
#include "core/instance/instance.h"
#include "core/template/jailroot.h"
#include "core/job/job.h"
#include "core/instance/log.h"
#include "core/snapshot/saved.h"
#include "core/template/idle.h"
#include "core/spec/settings.h"
#include "core/template/template.h"
#include "core/start/userns.h"
#include "core/start/volumes.h"
#include "engine/choice/choice.h"
#include "guest/blob.h"
#include "image/image.h"
#include "kernel/kernel.h"
#include "net/net.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/process.h"
#include "volume/volume.h"

void run_init(struct run *run)
{
	*run = (struct run){.initrd_fd = -1,
		.userns_fd = -1,
		.image.fd = -1,
		.kernel.fd = -1,
		.template = {.ram_fd = -1, .state_fd = -1, .code_fd = -1},
		.saved = {.ram_fd = -1, .state_fd = -1, .code_fd = -1, .root_fd = -1}};
}

void run_close_leases(struct run *run, const struct arrow_spec *spec)
{
	for (size_t i = 0; run->leases && i < spec->files.n_volumes; i++)
		close_keep_errno(run->leases[i]);
	free(run->leases);
	run->leases = NULL;
}

void run_release(struct run *run, const struct arrow_spec *spec)
{
	arrow_image_release(&run->image);
	arrow_kernel_release(&run->kernel);
	arrow_job_release(&run->job);
	arrow_template_release(&run->template);
	arrow_saved_release(&run->saved);
	net_attachment_release(&run->network);
	for (size_t i = 0; run->shares && i < spec->files.n_volumes; i++)
		close_keep_errno(run->shares[i].fd);
	run_close_leases(run, spec);
	free(run->jail_root);
	free(run->server_root);
	free(run->shares);
	free(run->forwards);
	free(run->files);
	close_keep_errno(run->initrd_fd);
	close_keep_errno(run->userns_fd);
}

static int run_check_limits(const struct arrow_spec *spec, struct arrow_error *error)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct sysinfo info;
	uint64_t total;

	if (sysinfo(&info) < 0)
		return arrow_fail(error, errno, "cannot find out the host's memory: %m");
	total = (uint64_t)info.totalram * info.mem_unit;
	if (spec->limits.memory > total)
		return arrow_fail(error, ENOMEM,
			"%llu MiB of memory is more than this host has (%llu MiB): ask for less with -m",
			(unsigned long long)(spec->limits.memory >> 20),
			(unsigned long long)(total >> 20));
	if (spec->limits.memory < ARROW_MEMORY_MIN)
		return arrow_fail(error, EINVAL,
			"%llu KiB of memory is too little to boot: give at least %llu MiB with -m",
			(unsigned long long)(spec->limits.memory >> 10), ARROW_MEMORY_MIN >> 20);
	if (cpus > 0 && spec->limits.millicpus > (unsigned long)cpus * 1000)
		return arrow_fail(error, EINVAL,
			"%g CPUs are more than this host has (%ld): ask for less with --cpus",
			spec->limits.millicpus / 1000.0, cpus);
	return arrow_check_limits(spec, error);
}

/* Says which limits this host cannot keep; as Docker, of those only that were asked for. */
static int run_note_limits(
	const struct arrow_spec *spec, const struct arrow_paths *paths, struct arrow_error *error)
{
	_cleanup_free_ char *nowhere = NULL, *guest_only = NULL;
	int r = arrow_limits_missing(spec, &nowhere, &guest_only, error);

	if (r == 0 && nowhere)
		arrow_note(arrow_settings_notes(paths),
			"control groups cannot be created here, so these have no effect: %s",
			nowhere);
	if (r == 0 && guest_only && spec->verbose)
		arrow_note(arrow_settings_notes(paths),
			"control groups cannot be created here, so these hold in the guest only: %s",
			guest_only);
	return r;
}

static int run_open_volumes(
	struct run *run, const struct arrow_spec *spec, struct arrow_error *error)
{
	run->shares = calloc(spec->files.n_volumes + 1, sizeof(*run->shares));
	run->files = calloc(spec->files.n_volumes + 1, sizeof(*run->files));
	if (!run->shares || !run->files)
		return arrow_no_memory(error);
	for (size_t i = 0; i < spec->files.n_volumes; i++)
		run->shares[i].fd = -1;

	for (size_t i = 0; i < spec->files.n_volumes; i++) {
		const struct arrow_volume *v = &spec->files.volumes[i];
		struct stat st;
		int fd = run_open_volume(v, error);

		if (fd < 0)
			return fd;
		run->shares[i] = (struct arrow_share){.fd = fd, .read_only = v->read_only};
		if (fstat(fd, &st) < 0)
			return arrow_fail(
				error, errno, "cannot look at the volume %s: %m", v->host);
		if (S_ISDIR(st.st_mode))
			continue;
		if (!S_ISREG(st.st_mode))
			return arrow_fail(error, EINVAL,
				"volume %s is neither a directory nor a file: sockets, pipes and devices of this host cannot be reached from a VM",
				v->host);
		run->files[i] = run->shares[i].file = true;
	}
	return 0;
}

/* The initramfs travels in this program; QEMU wants a file. */
static int run_open_initrd(int *fd, struct arrow_error *error)
{
	size_t size = (size_t)(arrow_initramfs_end - arrow_initramfs);
	int r;

	*fd = memfd_create("arrow-initramfs", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return arrow_fail(error, errno, "cannot create the initramfs: %m");
	r = write_full(*fd, arrow_initramfs, size);
	/* What runs the VM cannot change it for the next one. */
	if (r == 0 && fcntl(*fd, F_ADD_SEALS,
			      F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		r = -errno;
	return r < 0 ? arrow_fail(error, -r, "cannot create the initramfs: %m") : 0;
}

/* What the smallest profile cannot do, whatever the program is. */
static bool run_exceeds_micro(
	const struct run *run, const struct arrow_paths *paths, const struct arrow_spec *spec)
{
	return arrow_spec_vcpus(spec) > 1 || spec->limits.millicpus % 1000 ||
	       spec->limits.pids_max || net_plan_ipv6(&run->network_plan, paths);
}

/* The smallest profile that will do, unless the user names one. That of an image is a default. */
static int run_open_kernel(struct run *run, const struct arrow_paths *paths,
	const struct arrow_spec *spec, struct arrow_error *error)
{
	bool exceeds = run_exceeds_micro(run, paths, spec);
	const char *name = spec->vm.kernel;
	int r;

	if (!name)
		name = spec->source.rootfs || spec->source.image || exceeds ? "general" : "micro";
	r = arrow_kernel_open(&run->kernel, paths->stores, paths->run, name, error);
	if (r < 0 || !exceeds || !spec->vm.kernel_of_image ||
		strcmp(run->kernel.profile, "micro") != 0)
		return r;
	arrow_kernel_release(&run->kernel);
	return arrow_kernel_open(&run->kernel, paths->stores, paths->run, "general", error);
}

struct arrow_vm_config run_vm(const struct run *run, const struct arrow_spec *spec)
{
	return (struct arrow_vm_config){
		.kernel_fd = run->kernel.fd,
		.initrd_fd = run->initrd_fd,
		.append = run->kernel.append,
		.memory = (spec->limits.memory + (1u << 20) - 1) & ~((1ull << 20) - 1),
		.vcpus = arrow_spec_vcpus(spec),
		.disks = &run->disk,
		.n_disks = 1,
		.share_fd = -1,
		.shares = run->shares,
		.n_shares = run->share_channel ? 0 : (unsigned int)spec->files.n_volumes,
		.jail_root = run->jail_root,
		.nics = run->nics,
		.n_nics = run->network_plan.n + run->network_plan.n_idle,
		.userns_fd = spec->files.n_volumes && !run->share_channel ? run->userns_fd : -1,
		.mode = run->choice.mode,
		.settings = run->choice.settings,
		.tsc_khz = run->choice.tsc_khz,
	};
}

/* The template to clone from. Without one the start is cold, which is slower and no failure. */
void run_open_template(
	struct run *run, const struct arrow_paths *paths, const struct arrow_spec *spec)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_vm_config vm = run_vm(run, spec);

	if (spec->vm.cold || spec->source.from || !(vm.mode->can & ARROW_ENGINE_TEMPLATES))
		return;
	if (arrow_template_open(&run->template, paths->data, run->kernel.id, run->choice.engine,
		    &vm,
		    spec->verbose || arrow_settings_interactive(paths) ? arrow_settings_notes(paths)
								       : NULL,
		    &error) < 0 &&
		spec->verbose)
		arrow_note(arrow_settings_notes(paths), "no template, so the start is cold: %s",
			error.text);
}

/* Which cards there will be, which the template depends on. */
static int run_plan_network(struct run *run, const struct arrow_paths *paths,
	const struct arrow_spec *spec, struct arrow_error *error)
{
	int r = net_plan(&run->network_plan, (const char *const *)spec->net.names.v, error);

	for (unsigned int i = 0; r == 0 && i < run->network_plan.n; i++)
		run->nics[i] = (struct arrow_nic){
			.kind = arrow_nic_kind(net_plan_kind(&run->network_plan, i)), .fd = -1};
	/* One more, so that it can be connected while it runs. A saved one has what it has. */
	if (r == 0 && !spec->source.from && run->network_plan.n > 0 &&
		run->network_plan.n < NET_CARDS_MAX &&
		net_plan_kind(&run->network_plan, 0) == NET_CARD_TAP) {
		run->network_plan.n_idle = 1;
		run->nics[run->network_plan.n] =
			(struct arrow_nic){.kind = ARROW_NIC_TAP, .fd = -1, .spare = true};
	}
	return r;
}

/* The engine's own network takes published ports itself. */
static int forward_ports(struct run *run, struct arrow_nic *nic, struct arrow_error *error)
{
	const struct net_ports *ports = &run->network.ports;

	free(run->forwards);
	run->forwards = calloc(ports->n + 1, sizeof(*run->forwards));
	if (!run->forwards)
		return arrow_no_memory(error);
	for (size_t i = 0; i < ports->n; i++) {
		const struct net_port *p = &ports->v[i];
		struct arrow_forward *f = &run->forwards[i];
		char text[NET_ADDRESS_TEXT];

		*f = (struct arrow_forward){
			.udp = p->udp, .host_port = p->host_port, .guest_port = p->guest_port};
		snprintf(
			f->host, sizeof(f->host), "%.45s", net_address_text(&p->host, false, text));
	}
	nic->forwards = run->forwards;
	nic->n_forwards = (unsigned int)ports->n;
	return 0;
}

/* Makes the cards. */
int run_attach_network(struct run *run, const struct arrow_paths *paths,
	const struct arrow_instance *instance, const struct arrow_spec *spec,
	struct arrow_error *error)
{
	struct net_ports ports = {0};
	struct net_request request = {
		.id = instance->id,
		.name = instance->name,
		.aliases = (const char *const *)spec->net.aliases.v,
		.ports = &ports,
	};
	int r = net_ports_copy(&ports, &spec->net.ports) < 0 ? arrow_no_memory(error) : 0;

	for (size_t i = 0; r == 0 && spec->net.publish_all && i < spec->net.exposed.n; i++)
		r = net_ports_expose(&ports, spec->net.exposed.v[i], error);
	for (unsigned int i = 0; i < run->network_plan.n; i++)
		request.endpoints[i] = arrow_spec_endpoint(spec, i);
	if (r == 0)
		r = net_attach(&run->network, &run->network_plan, &request, paths, error);
	net_ports_release(&ports);
	for (unsigned int i = 0; r == 0 && i < run->network.n_cards; i++) {
		run->nics[i].fd = run->network.cards[i].fd;
		if (run->nics[i].kind == ARROW_NIC_USER)
			r = forward_ports(run, &run->nics[i], error);
	}
	return r;
}

/* A name of a program without a slash is one of the current directory, else of PATH. */
static char *run_find_absolute(const char *cwd, const char *path, bool program)
{
	struct stat st;
	char *found;

	if (path[0] == '/')
		return strdup(path);
	if (program && !strchr(path, '/') && (stat(path, &st) < 0 || !S_ISREG(st.st_mode))) {
		found = process_find(path);
		if (found && found[0] == '/')
			return found;
		free(found);
	}
	return path_format("%s/%s", cwd, strncmp(path, "./", 2) == 0 ? path + 2 : path);
}

/* What is stored must be found from any directory. */
int run_make_absolute(struct arrow_spec *spec, struct arrow_error *error)
{
	_cleanup_free_ char *cwd = getcwd(NULL, 0);
	bool failed = !cwd;

	for (size_t i = 0; !failed && i < spec->files.n_volumes + 2; i++) {
		char **path = i == 0   ? &spec->source.program
			      : i == 1 ? &spec->source.rootfs
				       : &spec->files.volumes[i - 2].host;
		char *whole = *path ? run_find_absolute(cwd, *path, i == 0) : NULL;

		if (!*path)
			continue;
		failed = !whole;
		if (whole) {
			free(*path);
			*path = whole;
		}
	}
	return failed ? arrow_fail(error, errno, "cannot find out the current directory: %m") : 0;
}

/* For a start from a saved Arrow: what is in its directory, and a spec that is whole with it. */
static int run_open_saved(struct run *run, const struct arrow_paths *paths, struct arrow_spec *spec,
	struct arrow_error *error)
{
	struct arrow_saved *s = &run->saved;
	int r = arrow_saved_open(s, paths, arrow_settings_engine(paths), spec->source.from, error);

	if (r == 0)
		r = arrow_saved_merge(spec, s, error);
	if (r < 0)
		return r;
	run->choice = s->choice;
	run->image.fd = steal_fd(&s->root_fd);
	run->template.ram_fd = steal_fd(&s->ram_fd);
	run->template.state_fd = steal_fd(&s->state_fd);
	run->template.code_fd = steal_fd(&s->code_fd);
	run->template.running = true;
	memcpy(run->image.digest, s->image, sizeof(s->image));
	memcpy(run->kernel.id, s->kernel, sizeof(s->kernel));
	run->kernel.append = strdup("");
	return run->kernel.append ? 0 : arrow_no_memory(error);
}

/* The cards are devices of the VM that was saved. */
static int run_check_cards(
	struct run *run, const struct arrow_spec *spec, struct arrow_error *error)
{
	const struct arrow_saved *s = &run->saved;
	struct net_plan *plan = &run->network_plan;
	bool same = s->n_nics >= plan->n;

	/* It may have left networks, or be put on fewer. */
	for (unsigned int i = plan->n; same && i < s->n_nics; i++) {
		run->nics[i] = (struct arrow_nic){.kind = ARROW_NIC_TAP, .fd = -1};
		plan->n_idle++;
	}
	for (unsigned int i = 0; same && i < s->n_nics; i++)
		same = s->nics[i].kind == run->nics[i].kind;
	return same ? 0
		    : arrow_fail(error, EINVAL,
			      "the Arrow in %s was saved with %u network card%s, and needs as many of the same kind: give it other networks with --network",
			      s->dir, s->n_nics, s->n_nics == 1 ? "" : "s");
}

/* What the program runs on: its root, a kernel, an engine. */
static int run_resolve_program(struct run *run, const struct arrow_paths *paths,
	const struct arrow_spec *spec, struct arrow_error *error)
{
	int r;

	if (spec->source.image)
		r = arrow_image_from_container(&run->image, paths, spec, error);
	else if (spec->source.rootfs)
		r = arrow_image_from_directory(
			&run->image, paths->data, spec->source.rootfs, run->userns_fd, error);
	else
		r = arrow_image_from_program(&run->image, paths->data, spec->source.program,
			arrow_settings_library_path(paths), error);
	if (r < 0)
		return r;
	r = run_open_kernel(run, paths, spec, error);
	if (r < 0)
		return r;
	if (arrow_spec_vcpus(spec) > run->kernel.vcpus_max)
		return arrow_fail(error, EINVAL,
			"the kernel %s runs on %u vCPU, not on %u: leave out --kernel, or name general",
			run->kernel.profile, run->kernel.vcpus_max, arrow_spec_vcpus(spec));
	r = arrow_engine_choose(
		&run->choice, spec->vm.engine, arrow_settings_engine(paths), paths->run, error);
	return r < 0 ? r : run_open_initrd(&run->initrd_fd, error);
}

/*
 * Disks, cards and, where the engine serves them, volumes are devices, of which some engines have
 * few. A card that could be connected later is the first to go.
 */
static int run_check_devices(
	struct run *run, const struct arrow_spec *spec, struct arrow_error *error)
{
	const struct arrow_engine *engine = run->choice.engine;
	unsigned int shares = spec->files.n_volumes > 0 && !run->share_channel;
	unsigned int cards = run->network_plan.n, needed, max;

	if (!engine->devices_max)
		return 0;
	max = engine->devices_max(run->choice.settings);
	needed = 1 + shares + cards;
	if (!spec->source.from && needed + run->network_plan.n_idle > max)
		run->network_plan.n_idle = 0;
	if (needed + run->network_plan.n_idle <= max)
		return 0;
	return arrow_fail(error, E2BIG,
		"an Arrow%s can be on at most %u networks with this QEMU, not on %u: install Arrow's own with 'sudo make hypervisor', or leave some out",
		shares ? " with volumes" : "", max - 1 - shares, cards + run->network_plan.n_idle);
}

/* What the engine that was chosen cannot give. */
static int run_check_engine(
	struct run *run, const struct arrow_spec *spec, struct arrow_error *error)
{
	const struct arrow_engine_mode *mode = run->choice.mode;
	const struct arrow_engine *engine = run->choice.engine;

	run->share_channel = engine->share_channel && engine->share_channel(run->choice.settings);
	if (spec->files.n_volumes > mode->shares_max)
		return arrow_fail(error, E2BIG, "%zu volumes are more than an Arrow can have (%u)",
			spec->files.n_volumes, mode->shares_max);
	if (run_check_devices(run, spec, error) < 0)
		return -E2BIG;
	for (unsigned int i = 0; i < run->network_plan.n; i++)
		if (run->nics[i].kind == ARROW_NIC_USER && !(mode->can & ARROW_ENGINE_USER_NET))
			return arrow_fail(error, ENOTSUP,
				"the engine %s has no user-mode network: install passt, or use "
				"--network none",
				engine->name);
	return 0;
}

int run_open_leases(struct run *run, const struct arrow_paths *paths, const struct arrow_spec *spec,
	struct arrow_error *error)
{
	if (!run->server_root)
		return 0;
	run->leases = calloc(spec->files.n_volumes, sizeof(*run->leases));
	if (!run->leases)
		return arrow_no_memory(error);
	for (size_t i = 0; i < spec->files.n_volumes; i++)
		run->leases[i] = -1;
	for (size_t i = 0; i < spec->files.n_volumes; i++) {
		const struct arrow_volume *v = &spec->files.volumes[i];

		if (!v->name)
			continue;
		run->leases[i] = volume_open_lease(paths->data, v->name, v->host, error);
		if (run->leases[i] < 0 && run->leases[i] != -ENOTSUP)
			return run->leases[i];
	}
	return 0;
}

/* What serves the volumes. */
static int run_open_server(struct run *run, const struct arrow_paths *paths,
	const struct arrow_spec *spec, struct arrow_error *error)
{
	if (spec->files.n_volumes == 0)
		return 0;
	if (run->share_channel)
		return arrow_jail_server_root(paths->data, &run->server_root, error);
	arrow_note(arrow_settings_notes(paths),
		"this QEMU serves volumes by 9p: locks are not seen by others, appends at the same time may be lost, and some calls fail on files that were removed; install Arrow's own with 'sudo make hypervisor'");
	return 0;
}

int run_resolve(struct run *run, const struct arrow_paths *paths, struct arrow_spec *spec,
	struct arrow_error *error)
{
	struct log scratch;
	int r = 0;

	run->begin_us = now_us();
	if (spec->source.from)
		r = run_open_saved(run, paths, spec, error);
	if (r == 0)
		r = run_check_limits(spec, error);
	if (r == 0)
		r = run_note_limits(spec, paths, error);
	if (r == 0)
		r = run_plan_network(run, paths, spec, error);
	if (r < 0)
		return r;
	r = log_options(&scratch, spec, error);
	if (r < 0)
		return r;
	r = run_open_volumes(run, spec, error);
	if (r < 0)
		return r;
	if (spec->files.n_volumes || spec->source.rootfs) {
		r = arrow_userns_create(&run->userns_fd, error);
		if (r < 0)
			return r;
	}
	r = spec->source.from ? run_check_cards(run, spec, error)
			      : run_resolve_program(run, paths, spec, error);
	if (r == 0)
		r = run_check_engine(run, spec, error);
	if (r == 0)
		r = arrow_jail_root(paths->data, run->choice.engine, run->choice.settings,
			&run->jail_root, error);
	if (r == 0)
		r = run_open_server(run, paths, spec, error);
	run->disk.fd = run->image.fd;
	return r;
}
