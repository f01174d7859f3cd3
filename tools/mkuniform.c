// SPDX-License-Identifier: Apache-2.0
/* mkuniform IMAGE: makes an image that the build has made uniform (image/uniform.h). */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "image/uniform.h"

int main(int argc, char **argv)
{
	int fd = argc == 2 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
	int e = fd < 0 ? -1 : erofs_make_uniform(fd);

	if (e == 0 && erofs_is_uniform(fd))
		return 0;
	fprintf(stderr, "mkuniform: cannot make %s uniform\n", argc == 2 ? argv[1] : "an image");
	return 1;
}
