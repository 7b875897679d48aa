"""Addresses of the pages. The WebSocket and SSE ones stand in `realtime.routing`."""

from django.contrib.auth.views import LogoutView
from django.urls import path
from django.views.i18n import set_language

from realtime import asyncapi, board_page, embedding, pages

urlpatterns = [
    path("api/asyncapi.json", asyncapi.view, name="asyncapi"),
    path("", pages.start, name="start"),
    path("login/", pages.LogIn.as_view(), name="login"),
    path("logout/", LogoutView.as_view(next_page="start"), name="logout"),
    path("board/", board_page.page, name="board"),
    path("orders/", pages.my_orders, name="orders"),
    path("orders/<str:ref>/", pages.order, name="order"),
    path("orders/<str:ref>/receipt/", pages.receipt, name="receipt"),
    path("language/", set_language, name="language"),
    path("api/words", embedding.words_for_elements, name="words"),
    path("embed/", embedding.example, name="embed"),
]
