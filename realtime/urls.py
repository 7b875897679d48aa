"""Addresses of the pages. The WebSocket and SSE ones stand in `realtime.routing`."""

from django.contrib.auth.views import LogoutView
from django.urls import path
from django.views.i18n import set_language

from realtime.board.views import board_page
from realtime.pages import embed, live_demo, views
from realtime.protocol import asyncapi

urlpatterns = [
    path("api/asyncapi.json", asyncapi.view, name="asyncapi"),
    path("", views.start, name="start"),
    path("login/", views.LogIn.as_view(), name="login"),
    path("logout/", LogoutView.as_view(next_page="start"), name="logout"),
    path("board/", board_page, name="board"),
    path("orders/", views.my_orders, name="orders"),
    path("orders/<str:ref>/", views.order, name="order"),
    path("orders/<str:ref>/receipt/", views.receipt, name="receipt"),
    path("language/", set_language, name="language"),
    path("api/words", embed.words_for_elements, name="words"),
    path("embed/", embed.example, name="embed"),
    path("demo/", live_demo.begin, name="demo"),
    path("demo/new/", live_demo.make_order, name="demo-new"),
    path("demo/<str:ref>/", live_demo.side_by_side, name="demo-order"),
]
