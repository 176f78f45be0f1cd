"""System calls that looking into a file needs nothing of, by what they would do.

Names and numbers are the kernel's own (``syscall_64.tbl``, ``asm-generic/unistd.h``): each call's
on x86-64, then on ARM64, where those calls are missing that only old programs use. Standard
library only.
"""

from __future__ import annotations

from collections.abc import Mapping

Calls = Mapping[str, tuple[int, int | None]]

MACHINES = ("x86_64", "aarch64")

_START_PROGRAMS: Calls = {
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
}  # fmt: skip
#: Read, stop, slow down or signal another process of the same user.
_REACH_OTHERS: Calls = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kill": (62, 129), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "process_mrelease": (448, 448),
    "kcmp": (312, 272), "move_pages": (279, 239), "migrate_pages": (256, 238),
    "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119), "sched_setaffinity": (203, 122), "sched_setattr": (314, 274),
}  # fmt: skip
#: Memory and queues that others share, or that outlive the process and its limits.
_SHARE_MEMORY: Calls = {
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190),
    "semctl": (66, 191), "semop": (65, 193), "semtimedop": (220, 192), "msgget": (68, 186),
    "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "mq_open": (240, 180),
    "mq_unlink": (241, 181),
}  # fmt: skip
#: Change files by their names: rights, times and labels are nothing that Landlock knows of, and
#: truncating only since its third version.
_CHANGE_FILES: Calls = {
    "creat": (85, None), "truncate": (76, 45), "ftruncate": (77, 46), "fallocate": (285, 47),
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None),
    "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "setxattrat": (463, 463), "removexattrat": (466, 466), "file_setattr": (469, 469),
    "mknod": (133, None), "mknodat": (259, 33), "mkdir": (83, None), "mkdirat": (258, 34),
    "rmdir": (84, None), "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None),
    "renameat": (264, 38), "renameat2": (316, 276), "link": (86, None), "linkat": (265, 37),
    "symlink": (88, None), "symlinkat": (266, 36), "open_by_handle_at": (304, 265),
}  # fmt: skip
#: Ways round a filter of calls, and parts of the kernel that few programs need.
_REACH_KERNEL: Calls = {
    "io_uring_setup": (425, 425), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "unshare": (272, 97), "setns": (308, 268), "chroot": (161, 51),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "fanotify_init": (300, 262), "swapon": (167, 224),
    "swapoff": (168, 225), "reboot": (169, 142), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "adjtimex": (159, 171), "clock_adjtime": (305, 266), "sethostname": (170, 161),
    "setdomainname": (171, 162), "acct": (163, 89), "quotactl": (179, 60), "syslog": (103, 116),
    "iopl": (172, None), "ioperm": (173, None),
}  # fmt: skip
#: Wait for others to connect; who asks for a file connects himself.
_SERVE: Calls = {
    "accept": (43, 202), "listen": (50, 201), "socketpair": (53, 199), "accept4": (288, 242),
}  # fmt: skip
_CONNECT: Calls = {"socket": (41, 198), "connect": (42, 203), "bind": (49, 200)}

#: What it depends on with which arguments they are called, or which others they stand for.
_JUDGED: Calls = {
    "clone": (56, 220), "clone3": (435, 435), "tgkill": (234, 131), "prlimit64": (302, 261),
    "open": (2, None), "openat": (257, 56), "openat2": (437, 437), "fcntl": (72, 25),
    "ioctl": (16, 29),
}  # fmt: skip
_GUARDS: Calls = {
    "seccomp": (317, 277), "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445), "landlock_restrict_self": (446, 446),
}  # fmt: skip

#: Never needed; and not even these where nothing is far away.
REFUSED: Calls = {
    **_START_PROGRAMS, **_REACH_OTHERS, **_SHARE_MEMORY, **_CHANGE_FILES, **_REACH_KERNEL,
    **_SERVE,
}  # fmt: skip
REFUSED_ALONE: Calls = _CONNECT
KNOWN: Calls = {**REFUSED, **_CONNECT, **_JUDGED, **_GUARDS}


def number_of(name: str, machine: str) -> int | None:
    """Of a call of :data:`KNOWN`; None where this kind of machine does not have it."""
    return KNOWN[name][MACHINES.index(machine)]
