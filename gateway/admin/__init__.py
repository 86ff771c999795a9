"""The unix socket through which the command line speaks to a running gateway, as its operator.

Who may open it is the operating system's business: the socket lies in the data folder, is its owner's alone, and every
peer's user is looked at. An agent that runs under the same user can open it too; run agents as another user.
"""
