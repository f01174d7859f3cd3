// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "engine/engine.h"

const struct command commands[] = {
	{"run", cmd_run, "run a program in its own microVM", &run_argp},
	{"create", cmd_create, "make an Arrow that does not run yet", &create_argp},
	{"start", cmd_start, "start Arrows that do not run", &start_argp},
	{"stop", cmd_stop, "stop Arrows", &stop_argp},
	{"restart", cmd_restart, "stop Arrows and start them again", &restart_argp},
	{"kill", cmd_kill, "send a signal to the programs of Arrows", &kill_argp},
	{"pause", cmd_pause, "stop the processors of Arrows", &pause_argp},
	{"unpause", cmd_unpause, "let paused Arrows go on", &unpause_argp},
	{"attach", cmd_attach, "take part in an Arrow that runs", &attach_argp},
	{"logs", cmd_logs, "show what an Arrow has written", &logs_argp},
	{"wait", cmd_wait, "wait until Arrows do not run", &wait_argp},
	{"rename", cmd_rename, "give an Arrow another name", &rename_argp},
	{"rm", cmd_rm, "remove Arrows", &rm_argp},
	{"exec", cmd_exec, "execute a command in an Arrow that runs", &exec_argp},
	{"cp", cmd_cp, "copy files between an Arrow and this host", &cp_argp},
	{"top", cmd_top, "list the processes of an Arrow", &top_argp},
	{"stats", cmd_stats, "show what Arrows use, every second", &stats_argp},
	{"diff", cmd_diff, "list what an Arrow has changed in its root", &diff_argp},
	{"ps", cmd_ps, "list Arrows", &ps_argp},
	{"events", cmd_events, "show what happens to Arrows, images and networks", &events_argp},
	{"update", cmd_update, "change limits and the restart policy of Arrows", &update_argp},
	{"system", cmd_system, "show what takes disk, and remove what nobody needs", &system_argp},
	{"container", cmd_container, "remove all that do not run; longer names of commands",
		&container_argp},
	{"boot", cmd_boot, "start and stop Arrows with the host", &boot_argp},
	{"inspect", cmd_inspect, "show all that is known of Arrows and images", &inspect_argp},
	{"pull", cmd_registry, "download an image from a registry", NULL},
	{"push", cmd_registry, "upload an image to a registry", NULL},
	{"login", cmd_registry, "log in to a registry", NULL},
	{"logout", cmd_registry, "forget the login of a registry", NULL},
	{"images", cmd_images, "list the images in the store", &images_argp},
	{"image", cmd_image, "manage images: inspect, prune and all of the others", NULL},
	{"build", cmd_build, "make an image of a program or directory", &build_argp},
	{"import", cmd_import, "make an image of a root file system or archive", &import_argp},
	{"export", cmd_export, "write an image as a layout, an archive or a folder", &export_argp},
	{"load", cmd_load, "read images from an archive", &load_argp},
	{"save", cmd_save, "save a running Arrow, or write images to an archive", &save_argp},
	{"tag", cmd_tag, "give an image another name", &tag_argp},
	{"rmi", cmd_rmi, "remove images", &rmi_argp},
	{"history", cmd_history, "show the steps that made an image", &history_argp},
	{"network", cmd_network, "make, show and remove networks; connect Arrows to them",
		&network_argp},
	{"port", cmd_port, "show the published ports of an Arrow", &port_argp},
	{"kernel", cmd_kernel, "build, list, inspect and remove guest kernels", NULL},
	{"template", cmd_template, "list, inspect and remove the VMs that Arrows are cloned from",
		&template_argp},
	{"info", cmd_info, "show what this host offers, and the engine chosen", &info_argp},
	{"doctor", cmd_doctor, "find what is missing here, and mend it", &doctor_argp},
	{"version", cmd_version, "print the version of Arrow", &version_argp},
	{NULL, NULL, NULL, NULL},
};

static void print_help(FILE *f)
{
	fputs("Usage: arrow COMMAND [OPTION...]\n"
	      "Run each Linux program as its own microVM.\n\n"
	      "Commands:\n",
		f);
	for (const struct command *c = commands; c->name; c++)
		fprintf(f, "  %-12s %s\n", c->name, c->summary);
	fputs("  help         show this page, or 'arrow help COMMAND'\n\n"
	      "  --version    print the version of Arrow\n\n"
	      "'arrow COMMAND --help' lists the options of a command.\n",
		f);
}

static const struct command *find_command(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static int run_command(const struct command *c, int argc, char **argv)
{
	char title[64];

	/* argp's messages and usage begin with argv[0]. */
	snprintf(title, sizeof(title), "arrow %s", c->name);
	argv[0] = title;
	return c->main(argc, argv);
}

/* A program started with a closed stdin, stdout or stderr would get them back as some file. */
static int open_standard_fds(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return -errno;
	return 0;
}

int main(int argc, char **argv)
{
	const struct command *c;
	const char *name = argc > 1 ? argv[1] : "help";
	int status;

	if (open_standard_fds() < 0)
		return ARROW_STATUS_ERROR;
	status = arrow_engine_helper(argc, argv);
	if (status >= 0)
		return status;
	if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
		char *help[] = {NULL, (char *)"--help", NULL};

		c = argc > 2 ? find_command(argv[2]) : NULL;
		if (c)
			return run_command(c, 2, help);
		if (argc > 2) {
			fprintf(stderr, "arrow: no such command: %s; 'arrow help' lists them\n",
				argv[2]);
			return ARROW_STATUS_ERROR;
		}
		print_help(stdout);
		return argc > 1 ? 0 : ARROW_STATUS_ERROR;
	}
	if (strcmp(name, "--version") == 0)
		name = "version";

	c = find_command(name);
	if (!c) {
		fprintf(stderr, "arrow: no such command: %s; 'arrow help' lists them\n", name);
		return ARROW_STATUS_ERROR;
	}
	return run_command(c, argc - 1, argv + 1);
}
