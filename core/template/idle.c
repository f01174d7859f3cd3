// SPDX-License-Identifier: Apache-2.0
#include "core/template/idle.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest/blob.h"
#include "net/link.h"
#include "util/cleanup.h"
#include "util/io.h"

static int idle_open_disk(void)
{
	_cleanup_close_ int fd = memfd_create("arrow-rehearsal", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	r = write_full(fd, arrow_warm_image, (size_t)(arrow_warm_image_end - arrow_warm_image));
	if (r == 0 &&
		(ftruncate(fd, ARROW_TEMPLATE_DISK) < 0 ||
			fcntl(fd, F_ADD_SEALS,
				F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0))
		r = -errno;
	return r < 0 ? r : steal_fd(&fd);
}

static int idle_open_nic(enum arrow_nic_kind kind)
{
	char name[IFNAMSIZ] = "";
	int pair[2];

	if (kind == ARROW_NIC_TAP)
		return net_tap_open(name);
	if (kind != ARROW_NIC_STREAM)
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	close(pair[1]);
	return pair[0];
}

const struct arrow_idle_devices arrow_idle_devices = {
	.nic = idle_open_nic,
	.disk = idle_open_disk,
};

enum arrow_nic_kind arrow_nic_kind(enum net_card_kind kind)
{
	switch (kind) {
	case NET_CARD_STREAM:
		return ARROW_NIC_STREAM;
	case NET_CARD_USER:
		return ARROW_NIC_USER;
	case NET_CARD_TAP:
		break;
	}
	return ARROW_NIC_TAP;
}

void arrow_idle_nics_close(struct arrow_nic *nics, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		close_keep_errno(steal_fd(&nics[i].fd));
}

int arrow_idle_nics_open(
	struct arrow_nic *nics, const struct arrow_vm_config *like, struct arrow_error *error)
{
	for (unsigned int i = 0; i < like->n_nics; i++) {
		int fd = idle_open_nic(like->nics[i].kind);

		nics[i] = (struct arrow_nic){.kind = like->nics[i].kind,
			.fd = fd < 0 ? -1 : fd,
			.spare = like->nics[i].spare};
		if (fd < 0 && like->nics[i].kind != ARROW_NIC_USER) {
			arrow_idle_nics_close(nics, i);
			return arrow_fail(error, -fd, "cannot create an idle network card: %m");
		}
	}
	return 0;
}
