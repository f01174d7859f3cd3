/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_COMMANDS_H
#define ARROW_CLI_COMMANDS_H

/*
 * The list of commands, and the only one: `arrow help`, the prototypes, the completion and the
 * manual pages are made from it (man/meson.build reads these lines, so each command is one line).
 *
 *   COMMAND(name, FUNCTION, SUMMARY)  `arrow name` is cmd_FUNCTION(), which lives in cli/<name>.c
 *   GROUP(name, NAME, SUMMARY)        `arrow name COMMAND`, with the commands of CLI_NAME_COMMANDS
 * below
 */

/* clang-format off */
#define CLI_COMMANDS(COMMAND, GROUP) \
	COMMAND(run, run, "run a program in its own microVM") \
	COMMAND(create, create, "create an Arrow without starting it") \
	COMMAND(start, start, "start Arrows that are not running") \
	COMMAND(stop, stop, "stop Arrows") \
	COMMAND(restart, restart, "stop Arrows and start them again") \
	COMMAND(kill, kill, "send a signal to the programs of Arrows") \
	COMMAND(pause, pause, "pause all processes of Arrows") \
	COMMAND(unpause, unpause, "resume paused Arrows") \
	COMMAND(attach, attach, "attach the terminal to a running Arrow") \
	COMMAND(logs, logs, "show the output of an Arrow") \
	COMMAND(wait, wait, "wait until Arrows end, and print their exit codes") \
	COMMAND(rename, rename, "rename an Arrow") \
	COMMAND(rm, rm, "remove Arrows") \
	COMMAND(exec, exec, "execute a command in a running Arrow") \
	COMMAND(cp, cp, "copy files between an Arrow and this host") \
	COMMAND(top, top, "list the processes of an Arrow") \
	COMMAND(stats, stats, "show the resource usage of Arrows, every second") \
	COMMAND(diff, diff, "list the changes to the root of an Arrow") \
	COMMAND(ps, ps, "list Arrows") \
	COMMAND(events, events, "show events of Arrows, images, networks and volumes") \
	COMMAND(update, update, "change the limits and restart policy of Arrows") \
	GROUP(system, SYSTEM, "show disk usage, and remove unused data") \
	GROUP(container, CONTAINER, "manage Arrows, with Docker's longer names of the commands") \
	GROUP(boot, BOOT, "start and stop Arrows with the host") \
	COMMAND(inspect, inspect, "show details of Arrows and images as JSON") \
	COMMAND(pull, registry, "download an image from a registry") \
	COMMAND(push, registry, "upload an image to a registry") \
	COMMAND(login, registry, "log in to a registry") \
	COMMAND(logout, registry, "log out of a registry") \
	COMMAND(images, images, "list the images in the store") \
	GROUP(image, IMAGE, "manage images") \
	COMMAND(build, build, "build an image from a program, a directory or an Arrowfile") \
	COMMAND(import, import, "create an image from a root file system or an archive") \
	COMMAND(export, export, "write an image as an OCI layout, an archive or a folder") \
	COMMAND(load, load, "load images from an archive") \
	COMMAND(save, save, "save a running Arrow, or write images to an archive") \
	COMMAND(tag, tag, "give an image another name") \
	COMMAND(rmi, rmi, "remove images") \
	COMMAND(history, history, "show the history of an image") \
	GROUP(network, NETWORK, "manage networks, and connect Arrows to them") \
	GROUP(volume, VOLUME, "manage volumes, which keep files") \
	COMMAND(port, port, "show the published ports of an Arrow") \
	GROUP(kernel, KERNEL, "build, list, inspect and remove guest kernels") \
	GROUP(template, TEMPLATE, "list, inspect and remove the templates that Arrows are cloned from") \
	COMMAND(info, info, "show what this host offers, and the engine chosen") \
	COMMAND(doctor, doctor, "find what is missing on this host, and fix it") \
	COMMAND(version, version, "print the version of Arrow")

#define CLI_SYSTEM_COMMANDS(COMMAND) \
	COMMAND(df, system_df, "show disk usage") \
	COMMAND(prune, system_prune, "remove unused Arrows, networks, images and templates") \
	COMMAND(events, events, "show events of Arrows, images, networks and volumes") \
	COMMAND(info, info, "show what this host offers, and the engine chosen")

/* And every command of CLI_COMMANDS, by its own name. */
#define CLI_CONTAINER_COMMANDS(COMMAND) \
	COMMAND(ls, ps, "list Arrows") \
	COMMAND(prune, container_prune, "remove all Arrows that are not running")

#define CLI_IMAGE_COMMANDS(COMMAND) \
	COMMAND(ls, images, "list the images in the store") \
	COMMAND(rm, rmi, "remove images") \
	COMMAND(inspect, image_inspect, "show images as JSON") \
	COMMAND(history, history, "show the history of an image") \
	COMMAND(prune, image_prune, "remove unused images") \
	COMMAND(tag, tag, "give an image another name") \
	COMMAND(build, build, "build an image from a program, a directory or an Arrowfile") \
	COMMAND(import, import, "create an image from a root file system or an archive") \
	COMMAND(export, export, "write an image as an OCI layout, an archive or a folder") \
	COMMAND(load, load, "load images from an archive") \
	COMMAND(save, save, "write images to an archive") \
	COMMAND(pull, registry, "download an image from a registry") \
	COMMAND(push, registry, "upload an image to a registry") \
	COMMAND(sign, sign, "sign an image with a key") \
	COMMAND(verify, verify, "check the signature of an image with a key")

#define CLI_NETWORK_COMMANDS(COMMAND) \
	COMMAND(create, network_create, "create a network") \
	COMMAND(ls, network_ls, "list networks") \
	COMMAND(inspect, network_inspect, "show details of networks as JSON") \
	COMMAND(connect, network_connect, "connect an Arrow to a network") \
	COMMAND(disconnect, network_disconnect, "disconnect an Arrow from a network") \
	COMMAND(rm, network_rm, "remove networks") \
	COMMAND(prune, network_prune, "remove networks that no Arrow is on")

#define CLI_VOLUME_COMMANDS(COMMAND) \
	COMMAND(create, volume_create, "create a volume") \
	COMMAND(ls, volume_ls, "list volumes") \
	COMMAND(inspect, volume_inspect, "show details of volumes as JSON") \
	COMMAND(rm, volume_rm, "remove volumes") \
	COMMAND(prune, volume_prune, "remove volumes that no Arrow uses")

#define CLI_BOOT_COMMANDS(COMMAND) \
	COMMAND(start, boot_start, "start the Arrows that run from the boot of the host on") \
	COMMAND(stop, boot_stop, "stop all Arrows, as the host shuts down")

#define CLI_KERNEL_COMMANDS(COMMAND) \
	COMMAND(build, kernel_build, "build the kernels of profiles") \
	COMMAND(ls, kernel_ls, "list kernels") \
	COMMAND(inspect, kernel_inspect, "show details of kernels as JSON") \
	COMMAND(rm, kernel_rm, "remove kernels")

#define CLI_TEMPLATE_COMMANDS(COMMAND) \
	COMMAND(ls, template_ls, "list templates") \
	COMMAND(inspect, template_inspect, "show details of templates as JSON") \
	COMMAND(rm, template_rm, "remove templates") \
	COMMAND(prune, template_prune, "remove unused templates")

/*
 * A command: argv[0] is what messages and usage begin with, such as "arrow run" or "arrow kernel ls".
 * Returns the exit status.
 */
#define CLI_PROTOTYPE(name, function, summary) int cmd_##function(int argc, char **argv);
#define CLI_PROTOTYPES(name, NAME, summary) CLI_##NAME##_COMMANDS(CLI_PROTOTYPE)
CLI_COMMANDS(CLI_PROTOTYPE, CLI_PROTOTYPES)
#undef CLI_PROTOTYPE
#undef CLI_PROTOTYPES
/* clang-format on */

/* Runs the command that a command line names. Returns the exit status. */
int cli_run_command(int argc, char **argv);

#endif
