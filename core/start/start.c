// SPDX-License-Identifier: Apache-2.0
/* The way of a start: resolve, then a keeper that owns the VM, then the client that waits for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/client/client.h"
#include "core/instance/event.h"
#include "core/instance/volumes.h"
#include "core/keeper/keeper.h"
#include "core/spec/settings.h"
#include "core/start/prepare.h"
#include "core/start/start.h"
#include "core/start/volumes.h"
#include "image/uniform.h"
#include "util/cleanup.h"
#include "util/io.h"

/* The job, which knows the Arrow's id. */
static int start_encode_job(struct run *run, const struct arrow_spec *spec,
	const struct arrow_instance *instance, struct arrow_error *error)
{
	struct arrow_job_context context = {
		.id = instance->id,
		.name = instance->name,
		.entrypoint = run->image.entrypoint,
		.uniform = erofs_is_uniform(run->image.fd),
		.files = run->files,
		.network = &run->network,
	};

	if (run->image.fd >= 0 && erofs_read_root(run->image.fd, &context.root_mode,
					  &context.root_uid, &context.root_gid) < 0)
		return arrow_fail(
			error, EBADMSG, "the root image %s is damaged", run->image.digest);
	client_window(&context.rows, &context.columns);
	return spec->source.from ? arrow_job_encode_identity(&run->job, spec, &context, error)
				 : arrow_job_encode(&run->job, spec, &context, error);
}

static void __attribute__((noreturn)) start_become_keeper(struct run *run,
	const struct arrow_paths *paths, struct arrow_instance *instance, struct arrow_spec *spec,
	const struct arrow_attach *how, int client_fd)
{
	struct arrow_vm_config vm = run_vm(run, spec);
	const struct server_config server = {.root = run->server_root,
		.shares = run->shares,
		.leases = run->leases,
		.n_shares = (unsigned int)spec->files.n_volumes,
		.userns_fd = run->userns_fd,
		.uid_base = run->choice.settings->jail_uid_base};
	struct arrow_state *s = &instance->state;

	vm.name = instance->name;
	snprintf(s->engine, sizeof(s->engine), "%s", run->choice.engine->name);
	snprintf(s->accel, sizeof(s->accel), "%s", run->choice.mode->name);
	snprintf(s->kernel, sizeof(s->kernel), "%s", run->kernel.id);
	snprintf(s->image, sizeof(s->image), "%s", run->image.digest);
	keeper_main(&(struct keeper_config){
		.instance = instance,
		.paths = paths,
		.spec = spec,
		.engine = run->choice.engine,
		.vm = &vm,
		.share_channel = run->share_channel,
		.server = run->server_root ? &server : NULL,
		.template = run->template.ram_fd >= 0 ? &run->template : NULL,
		.job = &run->job,
		.network = &run->network,
		.client_fd = client_fd,
		.streams = client_streams(how),
		.bound = how->bound,
		.begin_us = run->begin_us,
	});
}

/*
 * The keeper of an Arrow, with all that it needs. fd gets the socket to it, signal_fd what
 * take_signals() returns. Returns its process.
 */
static pid_t start_keeper(struct run *run, const struct arrow_paths *paths,
	struct arrow_instance *instance, struct arrow_spec *spec, const struct arrow_attach *how,
	int *fd, int *signal_fd, struct arrow_error *error)
{
	int sockets[2], r;
	pid_t keeper;

	r = run_open_leases(run, paths, spec, error);
	if (r == 0)
		r = run_attach_network(run, paths, instance, spec, error);
	if (r == 0)
		r = start_encode_job(run, spec, instance, error);
	if (r == 0)
		r = arrow_instance_prepare(instance, error);
	if (r < 0)
		return r;
	/* From here on signals are for the program. */
	if (how->take_signals) {
		r = how->take_signals();
		if (r < 0)
			return arrow_fail(error, -r, "cannot take signals: %m");
		*signal_fd = r;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
		return arrow_fail(error, errno, "cannot create a socket for the keeper: %m");
	keeper = fork();
	if (keeper == 0) {
		close(sockets[0]);
		if (*signal_fd > 0)
			close(*signal_fd);
		start_become_keeper(run, paths, instance, spec, how, sockets[1]);
	}
	if (keeper < 0) {
		r = arrow_fail(error, errno, "cannot start the keeper: %m");
		close(sockets[0]);
	}
	/* Else the volumes would be in use as long as this command is. */
	run_close_leases(run, spec);
	close(sockets[1]);
	*fd = sockets[0];
	return keeper < 0 ? r : keeper;
}

/*
 * Starts an Arrow whose lock is held, and takes part in it. The instance is the keeper's once there
 * is one, and released here.
 */
static int start_instance(struct run *run, const struct arrow_paths *paths,
	struct arrow_instance *instance, struct arrow_spec *spec, const struct arrow_attach *how,
	int *status, struct arrow_error *error)
{
	struct client_options options = {
		.process = 1,
		.spec = spec,
		.input = how->input,
		.output = how->output,
		.leave = !how->output && !how->input,
		.proxy = how->proxy,
		.detach_keys = how->detach_keys,
		.notes = arrow_settings_notes(paths),
	};
	bool detached = false;
	pid_t keeper;
	int fd = -1, r;

	if (how->input || how->output)
		arrow_event(instance, "attach", NULL);
	keeper = net_plan_check(&run->network_plan, paths, error);
	if (keeper == 0) {
		run_open_template(run, paths, spec);
		keeper = start_keeper(
			run, paths, instance, spec, how, &fd, &options.signal_fd, error);
	}
	if (keeper < 0) {
		if (options.signal_fd > 0)
			close(options.signal_fd);
		net_detach(&run->network);
		return keeper;
	}
	/* The keeper holds the lock from now on, through the same open file. */
	arrow_instance_release(instance);
	net_attachment_release(&run->network);

	r = client_run(fd, &options, status, &detached, error);

	/* It is on its way out; a keeper that was left by Ctrl-C ends its VM first. */
	if (!detached && how->bound && spec->life.restart == ARROW_RESTART_NO)
		while (waitpid(keeper, NULL, 0) < 0 && errno == EINTR)
			;
	return r;
}

static int start_check_terminal(
	const struct arrow_spec *spec, const struct arrow_attach *how, struct arrow_error *error)
{
	if (spec->process.tty && spec->process.interactive && how->input && !isatty(STDIN_FILENO))
		return arrow_fail(error, ENOTTY,
			"the input is not a terminal: leave out -t, or run it in a terminal");
	return 0;
}

/* --cidfile: for this Arrow only, so it must not be there. */
static int start_write_cidfile(const char *path, const char *id, struct arrow_error *error)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	int r;

	if (fd < 0 && errno == EEXIST)
		return arrow_fail(error, EEXIST,
			"the file %s already exists: is its Arrow still running? Remove it, or give another --cidfile",
			path);
	r = fd < 0 ? -errno : write_full(fd, id, strlen(id));
	return r < 0 ? arrow_fail(error, -r, "cannot write %s: %m", path) : 0;
}

static int start_resolve_and_create(struct run *run, struct arrow_instance *instance,
	const struct arrow_paths *paths, struct arrow_spec *spec, const char *cidfile,
	struct arrow_error *error)
{
	_cleanup_close_ int volumes = -1; /* locked until the config says what is used */
	int r = run_make_volumes(paths, spec, &volumes, error);

	if (r == 0)
		r = run_resolve(run, paths, spec, error);
	if (r == 0 && cidfile && access(cidfile, F_OK) == 0)
		r = start_write_cidfile(cidfile, "", error);
	if (r == 0)
		r = run_make_absolute(spec, error);
	return r < 0 ? r : arrow_instance_create(instance, paths, spec, error);
}

/* A new Arrow on disk, whose lock is held. */
static int start_create_instance(struct run *run, struct arrow_instance *instance,
	const struct arrow_paths *paths, struct arrow_spec *spec, const char *cidfile,
	struct arrow_error *error)
{
	int r = start_resolve_and_create(run, instance, paths, spec, cidfile, error);

	if (r < 0) {
		arrow_volumes_drop(paths->data, spec, true);
		return r;
	}
	snprintf(instance->state.image, sizeof(instance->state.image), "%s", run->image.digest);
	if (cidfile)
		r = start_write_cidfile(cidfile, instance->id, error);
	if (r < 0)
		arrow_instance_remove(instance, true);
	else
		arrow_event(instance, "create", NULL);
	return r;
}

int arrow_create(const struct arrow_paths *paths, struct arrow_spec *spec, const char *cidfile,
	char id[ARROW_ID_HEX], struct arrow_error *error)
{
	struct arrow_instance instance;
	struct run run;
	int r;

	run_init(&run);
	r = start_create_instance(&run, &instance, paths, spec, cidfile, error);
	if (r == 0) {
		memcpy(id, instance.id, ARROW_ID_HEX);
		arrow_instance_sync(&instance);
		arrow_instance_release(&instance);
	}
	run_release(&run, spec);
	return r;
}

int arrow_run(const struct arrow_paths *paths, struct arrow_spec *spec, const char *cidfile,
	const struct arrow_attach *how, char id[ARROW_ID_HEX], int *status,
	struct arrow_error *error)
{
	struct arrow_instance instance;
	struct run run;
	int r = start_check_terminal(spec, how, error);

	run_init(&run);
	if (r == 0)
		r = start_create_instance(&run, &instance, paths, spec, cidfile, error);
	if (r == 0) {
		memcpy(id, instance.id, ARROW_ID_HEX);
		r = start_instance(&run, paths, &instance, spec, how, status, error);
		if (instance.dir) { /* no keeper has it */
			arrow_instance_remove(&instance, true);
			id[0] = '\0';
		}
	}
	run_release(&run, spec);
	return r;
}

int arrow_start(const struct arrow_paths *paths, const char *name, const struct arrow_attach *how,
	int *status, struct arrow_error *error)
{
	struct arrow_instance instance;
	struct arrow_spec spec;
	char id[ARROW_ID_HEX];
	struct run run;
	int r;

	*status = 0;
	run_init(&run);
	r = arrow_instance_find(paths, name, id, error);
	if (r < 0)
		return r;
	r = arrow_instance_open(&instance, paths, id, &spec, error);
	if (r == 0) {
		r = arrow_instance_lock_wait(&instance, error);
		if (r == -EBUSY && !how->output) {
			arrow_error_clear(error); /* it runs, which is what was asked for */
			r = 0;
		} else if (r == 0) {
			r = start_check_terminal(&spec, how, error);
			if (r == 0)
				r = run_resolve(&run, paths, &spec, error);
			instance.state.manual_stop = false;
			instance.state.restarts = 0;
			if (r == 0)
				r = start_instance(
					&run, paths, &instance, &spec, how, status, error);
		}
		run_release(&run, &spec);
	}
	if (instance.dir)
		arrow_instance_release(&instance);
	arrow_spec_release(&spec);
	return r;
}
