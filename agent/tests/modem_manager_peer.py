"""A ModemManager with two modems and one without a network interface, of python-dbusmock: this machine has no modem."""

import dbus
from dbus.mainloop.glib import DBusGMainLoop
from dbusmock import mockobject
from gi.repository import GLib

NAME = "org.freedesktop.ModemManager1"
ROOT = "/org/freedesktop/ModemManager1"

DBusGMainLoop(set_as_default=True)
name = dbus.service.BusName(NAME, dbus.SessionBus())
manager = mockobject.DBusMockObject(name, ROOT, NAME, {}, is_object_manager=True)


def modem(number, ports, percent, is_recent):
    properties = {
        "SignalQuality": dbus.Struct((dbus.UInt32(percent), is_recent), signature="ub"),
        "Ports": dbus.Array([(port, dbus.UInt32(kind)) for port, kind in ports], signature="(su)"),
    }
    manager.AddObject(f"{ROOT}/Modem/{number}", f"{NAME}.Modem", properties, [])


modem(0, [("cdc-wdm0", 6), ("wwan0", 2)], 43, True)
modem(1, [("ttyUSB0", 3)], 99, True)
modem(2, [("wwan1", 2), ("cdc-wdm1", 6)], 7, False)
print("ready", flush=True)
GLib.MainLoop().run()
