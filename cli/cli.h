/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_CLI_H
#define ARROW_CLI_CLI_H

#include <argp.h>
#include <stdbool.h>

#include "util/error.h"

/* A command: argv[0] is "arrow NAME". Each lives in cli/<name>.c. Returns the exit status. */
struct command {
	const char *name;
	int (*main)(int argc, char **argv);
	const char *summary;     /* one line for `arrow help` */
	const struct argp *argp; /* its options, also for completions; NULL if it has none */
};

/* Ends with an entry whose name is NULL. */
extern const struct command commands[];

int cmd_run(int argc, char **argv);
int cmd_create(int argc, char **argv);
int cmd_start(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_restart(int argc, char **argv);
int cmd_kill(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_unpause(int argc, char **argv);
int cmd_attach(int argc, char **argv);
int cmd_wait(int argc, char **argv);
int cmd_rename(int argc, char **argv);
int cmd_rm(int argc, char **argv);
int cmd_build(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_history(int argc, char **argv);
int cmd_image(int argc, char **argv);
int cmd_images(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_load(int argc, char **argv);
int cmd_rmi(int argc, char **argv);
int cmd_save(int argc, char **argv);
int cmd_tag(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_container(int argc, char **argv);
int cmd_boot(int argc, char **argv);
int cmd_cp(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_exec(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_update(int argc, char **argv);
int cmd_system(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_kernel(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_template(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_registry(int argc, char **argv);
int cmd_sign(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_network(int argc, char **argv);
int cmd_port(int argc, char **argv);
int cmd_version(int argc, char **argv);

extern const struct argp start_argp, stop_argp, restart_argp, kill_argp, attach_argp, wait_argp;
extern const struct argp pause_argp, unpause_argp;
extern const struct argp rename_argp, rm_argp, logs_argp, container_argp, boot_argp;
extern const struct argp cp_argp, diff_argp, exec_argp, stats_argp, top_argp;
extern const struct argp inspect_argp, events_argp, update_argp, system_argp;
extern const struct argp run_argp, create_argp, ps_argp, template_argp, info_argp, doctor_argp,
	version_argp;
extern const struct argp build_argp, export_argp, history_argp, images_argp, import_argp, load_argp,
	rmi_argp, save_argp, sign_argp, tag_argp, verify_argp;
extern const struct argp network_argp, port_argp;

/*
 * Parses a command's options with argp. A wrong use prints one line and exits with 125, as
 * Docker does; --help prints and exits with 0.
 */
void cli_parse(const struct argp *argp, int argc, char **argv, unsigned int flags, void *input);

/* Prints "arrow: TEXT" on stderr. Returns the status to exit with, and clears the error. */
int cli_error(struct arrow_error *error);

#endif
