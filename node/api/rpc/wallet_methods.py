"""Bitcoin Core's wallet methods, none of which is here: the command that does the same."""

from types import MappingProxyType
from typing import Final

_COMMANDS: Final = MappingProxyType(
    {
        "wallet create": ("createwallet", "loadwallet", "sethdseed"),
        "wallet restore": (
            "restorewallet",
            "importdescriptors",
            "importmulti",
            "importprivkey",
            "importwallet",
        ),
        "wallet address": ("getnewaddress", "getrawchangeaddress", "getaddressinfo", "getaccountaddress"),
        "wallet send": (
            "sendtoaddress",
            "sendmany",
            "send",
            "sendall",
            "sendfrom",
            "fundrawtransaction",
            "walletcreatefundedpsbt",
            "walletprocesspsbt",
            "signrawtransactionwithwallet",
            "signrawtransaction",
            "bumpfee",
            "psbtbumpfee",
        ),
        "wallet balance": ("getbalance", "getbalances", "getunconfirmedbalance", "getwalletinfo"),
        "wallet history": ("listtransactions", "listsinceblock", "gettransaction", "listreceivedbyaddress"),
        "wallet coins": ("listunspent", "listaddressgroupings", "lockunspent", "listlockunspent"),
        "wallet": (
            "abandontransaction",
            "backupwallet",
            "dumpprivkey",
            "dumpwallet",
            "encryptwallet",
            "getaddressesbylabel",
            "getreceivedbyaddress",
            "getreceivedbylabel",
            "importaddress",
            "importpubkey",
            "keypoolrefill",
            "listdescriptors",
            "listlabels",
            "listreceivedbylabel",
            "listwalletdir",
            "listwallets",
            "rescanblockchain",
            "setlabel",
            "settxfee",
            "setwalletflag",
            "signmessage",
            "simulaterawtransaction",
            "unloadwallet",
            "upgradewallet",
            "walletdisplayaddress",
            "walletlock",
            "walletpassphrase",
            "walletpassphrasechange",
        ),
    }
)
_POINTERS: Final = MappingProxyType({name: command for command, names in _COMMANDS.items() for name in names})


def pointer_for(method: str) -> str:
    """A hint instead of a method that is not here, to be put behind "Method not found"."""
    command = _POINTERS.get(method)
    return "" if command is None else f" (this node holds no keys: use the wallet command, see '{command} --help')"
